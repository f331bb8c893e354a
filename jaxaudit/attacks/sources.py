"""The papers that scores come from, as they are cited in reports."""

BERTRAN_2023 = (
    "Bertran, Tang, Roth, Kearns, Morgenstern, Wu: Scalable Membership Inference Attacks via Quantile "
    "Regression. NeurIPS 2023"
)
CARLINI_2021 = "Carlini et al.: Extracting Training Data from Large Language Models. USENIX Security 2021"
CARLINI_2023 = (
    "Carlini et al.: Extracting Training Data from Diffusion Models. USENIX Security 2023, arXiv 2301.13188"
)
CHANG_2024 = (
    "Chang, Shahin Shamsabadi, Katevas, Haddadi, Shokri: Context-Aware Membership Inference Attacks against "
    "Pre-trained Large Language Models. arXiv 2409.13745"
)
DAMM_2026 = (
    "Damm, Ricker, Petzka, Fischer: PRADA: Probability-Ratio-Based Attribution and Detection of "
    "Autoregressive-Generated Images. CVPR Findings 2026, arXiv 2511.20068"
)
DUAN_2023 = (
    "Duan, Kong, Wang, Shi, Xu: Are Diffusion Models Vulnerable to Membership Inference Attacks? ICML 2023, "
    "arXiv 2302.01316"
)
DUBINSKI_2025 = (
    "Dubiński, Kowalczuk, Boenisch, Dziedzic: CDI: Copyrighted Data Identification in Diffusion Models. "
    "CVPR 2025, arXiv 2411.12858"
)
FU_2023 = (
    "Fu, Wang, Gao, Liu, Li, Jiang: A Probabilistic Fluctuation based Membership Inference Attack for "
    "Diffusion Models. arXiv 2308.12143"
)
GAO_2023 = (
    "Gao, Zhou, Cheng, Yan: Masked Diffusion Transformer is a Strong Image Synthesizer. ICCV 2023, "
    "arXiv 2303.14389"
)
KONG_2024 = (
    "Kong et al.: An Efficient Membership Inference Attack for the Diffusion Model by Proximal "
    "Initialization. ICLR 2024, arXiv 2305.18355"
)
KOWALCZUK_2025 = (
    "Kowalczuk, Dubiński, Boenisch, Dziedzic: Privacy Attacks on Image AutoRegressive Models. ICML 2025, "
    "arXiv 2502.02514"
)
LI_2025 = (
    "Li, Chen, Fan: Noise Aggregation Analysis Driven by Small-Noise Injection: Efficient Membership "
    "Inference for Diffusion Models. arXiv 2510.21783"
)
PANG_2025 = (
    "Pang, Wang, Kang, Huai, Zhang: White-box Membership Inference Attacks against Diffusion Models. PoPETs "
    "2025, arXiv 2308.06405"
)
RAO_2025 = "Rao, Qu, Moyer: Score-based Membership Inference on Diffusion Models. TMLR, arXiv 2509.25003"
RAO_2026 = (
    "Rao, Qu, Moyer: Latent Diffusion Inversion Requires Understanding the Latent Space. CVPR 2026, "
    "arXiv 2511.20592"
)
SESMAT_2026 = (
    "Sesmat, Meseguer-Brocal, Peeters: Where Rectified Flows Leak: Characterising Membership Signals Along "
    "the Interpolation Path. ICML 2026, arXiv 2606.07271"
)
SHI_2024 = "Shi et al.: Detecting Pretraining Data from Large Language Models. ICLR 2024"
WATSON_2022 = (
    "Watson, Guo, Cormode, Sablayrolles: On the Importance of Difficulty Calibration in Membership Inference "
    "Attacks. ICLR 2022, arXiv 2111.08440"
)
YEOM_2018 = (
    "Yeom, Giacomelli, Fredrikson, Jha: Privacy Risk in Machine Learning: Analyzing the Connection to "
    "Overfitting. CSF 2018"
)
YU_2025 = (
    "Yu et al.: ICAS: Detecting Training Data from Autoregressive Image Generative Models. "
    "ACM Multimedia 2025, arXiv 2507.05068"
)
ZHAI_2024 = (
    "Zhai et al.: Membership Inference on Text-to-Image Diffusion Models via Conditional Likelihood "
    "Discrepancy. NeurIPS 2024, arXiv 2405.14800"
)
ZHANG_2024 = (
    "Zhang et al.: Min-K%++: Improved Baseline for Detecting Pre-Training Data from Large Language Models. "
    "arXiv 2404.02936"
)
ZHANG_WU_2024 = (
    "Zhang, Wu: Adaptive Pre-training Data Detection for Large Language Models via Surprising Tokens. "
    "arXiv 2407.21248"
)
