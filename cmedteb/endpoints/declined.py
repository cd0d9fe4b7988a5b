"""Whether a provider declined a text for what it says, by the markers that providers use.

Such a refusal is no fault of the request and no overload: the same text is declined again. Each
marker was seen in a provider's documentation or in reports of its users:

- OpenAI and Azure: `content_filter`, `content_policy_violation`, `ResponsibleAIPolicyViolation`
- DeepSeek: "Content Exists Risk", under a code that says nothing of it
- Volcengine Ark: `InputTextRiskDetection`, `OutputTextRiskDetection`, `SensitiveContentDetected`
- DashScope: `data_inspection_failed`, `DataInspectionFailed`
- Zhipu: code 1301
"""

from __future__ import annotations

CODES = {"1301"}
MARKERS = (
    "content_filter",
    "content_policy_violation",
    "content exists risk",
    "data_inspection_failed",
    "datainspectionfailed",
    "inputtextriskdetection",
    "outputtextriskdetection",
    "responsibleaipolicyviolation",
    "sensitivecontentdetected",
)


def declined(code: str | None, told: str) -> bool:
    """Whether an error with this code and these words is about the content of a text."""
    words = f"{code or ''} {told}".lower()
    return code in CODES or any(marker in words for marker in MARKERS)
