"""What programs find, as frozen typed records: the contract between audits and reports. Nothing is computed.

audit          results.json of an audit, answer.json of an owner's question; with membership, inference and
               individuals
extraction     results.json of an extraction      localization   results.json of a localisation
mitigation     results.json of mitigations        studies        files of the studies
benchmark      files of the benchmark             precision      file of the study of bfloat16
comparison     targets side by side
plan           what is fixed before an audit           leaderboard    scores side by side
compiled       what compilers make of scoring steps     capacity    what an audit asks of hardware
usage          how much of a set was trained on         regeneration   what sampling would bring back
exhibit        pictures that can be named, with hashes that tell them
privacy        what a training run reveals of its privacy
fair_sets      two pools of pictures made comparable
schedules      what walks through a diffusion model give away
provenance     which pictures a model made, which it was trained on
privacy        what a training run reveals of its privacy; results.json of an audit of epsilon
defence        results.json of defences under an attacker who adapts
codec          JSON there and back, with a format that is checked

`read_results(path, AuditResults)` gives the record, or one sentence on why the file is none.
"""

from jaxaudit.results.audit import (
    Answer,
    AuditResults,
    Collected,
    Finding,
    ImageSet,
    OwnersAnswer,
    ScoreFacts,
    Status,
    TargetFacts,
    Verdict,
)
from jaxaudit.results.benchmark import (
    BenchmarkResults,
    Machine,
    StageSpeed,
    SuiteResults,
    TaskCost,
    YardstickSpeed,
)
from jaxaudit.results.capacity import Assumptions, CapacityPlan, DiskSpace
from jaxaudit.results.codec import (
    Document,
    Record,
    decode,
    encode,
    format_of,
    read_results,
    replace,
    to_plain,
    write_results,
)
from jaxaudit.results.comparison import (
    ComparedFacts,
    ComparedTarget,
    ComparisonResults,
    Correlation,
    GenerationCost,
    PublishedComparedTarget,
)
from jaxaudit.results.compiled import CompiledStep, CompiledSteps, StepMemory, StepSetting
from jaxaudit.results.defence import (
    DefenceEffect,
    DefenceFacts,
    DefenceKind,
    DefencePoint,
    DefenceResults,
    DefendedTarget,
    Extracted,
    LevelLeakage,
    Quality,
    QueriedTpr,
)
from jaxaudit.results.estimates import Interval, MeanStd
from jaxaudit.results.exhibit import Exhibit, ExhibitPicture
from jaxaudit.results.extraction import ExtractionCounts, ExtractionResults
from jaxaudit.results.fair_sets import FairSets, FeatureBalance, Likeness, PoolUse, SetLikeness
from jaxaudit.results.individuals import Individuals, Question, Sensitivity, SequentialEvidence
from jaxaudit.results.inference import (
    Attribution,
    Comparability,
    DatasetInference,
    Forecast,
    Gate,
    Identification,
    NullControl,
    Omnibus,
    PowerCurve,
    PowerPoint,
    RequiredSize,
    SetTest,
    WelchTest,
)
from jaxaudit.results.leaderboard import (
    BoardEntry,
    FrontierPoint,
    Leaderboard,
    LeaderboardResults,
    TargetBoard,
)
from jaxaudit.results.localization import Localization, LocalizationResults
from jaxaudit.results.membership import (
    Histogram,
    MembershipInference,
    OmittedFpr,
    PublishedScoreMetrics,
    RocCurve,
    ScoreMetrics,
)
from jaxaudit.results.mitigation import (
    ChangedTarget,
    ChangeFacts,
    KeptMeasurement,
    Measured,
    MitigationResults,
)
from jaxaudit.results.plan import Plan, Planned
from jaxaudit.results.precision import (
    JudgedPrecision,
    PrecisionChange,
    PrecisionStudy,
    TargetPrecision,
)
from jaxaudit.results.privacy import (
    CanaryCoins,
    EpsilonResults,
    EpsilonStudyResults,
    MechanismBounds,
    NoisyStage,
    PrivacyBound,
)
from jaxaudit.results.provenance import (
    GeneratedShare,
    KnownSet,
    NullProvenance,
    Origin,
    Provenance,
    ProvenanceResults,
    ProvenanceStudy,
    SetOrigin,
    StudiedProvenance,
)
from jaxaudit.results.regeneration import PrefixRegeneration, Regeneration, RegenerationResults
from jaxaudit.results.reliability import AlternativePower, ReliabilityResults, TargetReliability, VerdictRates
from jaxaudit.results.schedules import (
    ClassifierLeakage,
    Leakage,
    LowRankLeakage,
    ScheduleResults,
    Told,
    WalkedSchedule,
    WalkLeakage,
)
from jaxaudit.results.studies import (
    FalsePositiveRate,
    NullStudyResults,
    SetRoc,
    StudiedTarget,
    StudyPoint,
    StudyResults,
)
from jaxaudit.results.usage import UsageFraction, UsageRates, UsageStatus, UsageStudy

__all__ = [
    "AlternativePower",
    "Answer",
    "Assumptions",
    "Attribution",
    "AuditResults",
    "BenchmarkResults",
    "BoardEntry",
    "CanaryCoins",
    "CapacityPlan",
    "ChangeFacts",
    "ChangedTarget",
    "ClassifierLeakage",
    "Collected",
    "Comparability",
    "ComparedFacts",
    "ComparedTarget",
    "ComparisonResults",
    "CompiledStep",
    "CompiledSteps",
    "Correlation",
    "DatasetInference",
    "DefenceEffect",
    "DefenceFacts",
    "DefenceKind",
    "DefencePoint",
    "DefenceResults",
    "DefendedTarget",
    "DiskSpace",
    "Document",
    "EpsilonResults",
    "EpsilonStudyResults",
    "Exhibit",
    "ExhibitPicture",
    "Extracted",
    "ExtractionCounts",
    "ExtractionResults",
    "FairSets",
    "FalsePositiveRate",
    "FeatureBalance",
    "Finding",
    "Forecast",
    "FrontierPoint",
    "Gate",
    "GeneratedShare",
    "GenerationCost",
    "Histogram",
    "Identification",
    "ImageSet",
    "Individuals",
    "Interval",
    "JudgedPrecision",
    "KeptMeasurement",
    "KnownSet",
    "Leaderboard",
    "LeaderboardResults",
    "Leakage",
    "LevelLeakage",
    "Likeness",
    "Localization",
    "LocalizationResults",
    "LowRankLeakage",
    "Machine",
    "MeanStd",
    "Measured",
    "MechanismBounds",
    "MembershipInference",
    "MitigationResults",
    "NoisyStage",
    "NullControl",
    "NullProvenance",
    "NullStudyResults",
    "OmittedFpr",
    "Omnibus",
    "Origin",
    "OwnersAnswer",
    "Plan",
    "Planned",
    "PoolUse",
    "PowerCurve",
    "PowerPoint",
    "PrecisionChange",
    "PrecisionStudy",
    "PrefixRegeneration",
    "PrivacyBound",
    "Provenance",
    "ProvenanceResults",
    "ProvenanceStudy",
    "PublishedComparedTarget",
    "PublishedScoreMetrics",
    "Quality",
    "QueriedTpr",
    "Question",
    "Record",
    "Regeneration",
    "RegenerationResults",
    "ReliabilityResults",
    "RequiredSize",
    "RocCurve",
    "ScheduleResults",
    "ScoreFacts",
    "ScoreMetrics",
    "Sensitivity",
    "SequentialEvidence",
    "SetLikeness",
    "SetOrigin",
    "SetRoc",
    "SetTest",
    "StageSpeed",
    "Status",
    "StepMemory",
    "StepSetting",
    "StudiedProvenance",
    "StudiedTarget",
    "StudyPoint",
    "StudyResults",
    "SuiteResults",
    "TargetBoard",
    "TargetFacts",
    "TargetPrecision",
    "TargetReliability",
    "TaskCost",
    "Told",
    "UsageFraction",
    "UsageRates",
    "UsageStatus",
    "UsageStudy",
    "Verdict",
    "VerdictRates",
    "WalkLeakage",
    "WalkedSchedule",
    "WelchTest",
    "YardstickSpeed",
    "decode",
    "encode",
    "format_of",
    "read_results",
    "replace",
    "to_plain",
    "write_results",
]
