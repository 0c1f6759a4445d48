"""What each method makes of the frames of a clip, in a sentence with its formula.

References:
    `originet_ext.active_image`, whose definitions these are: Verma et al., arXiv:2005.07991, Eqs.
    (1)-(3), and the works named there.
"""

READINGS = {
    "cumulative": "Every frame is compared with the first: 2 (F₂ + … + Fₙ₋₁) + Fₙ − (2n − 3) F₁.",
    "telescoped": "Each frame is compared with the one before it, so that only three are left: "
    "Fₙ + Fₙ₋₁ − 2 F₁.",
    "authors": "Late frames count for, early ones against, as in the authors' released program: "
    "Σ (max(t − 2, 0) − max(n − 1 − t, 0)) Fₜ.",
    "absolute": "Any change from frame to frame adds up, whichever its sign: "
    "2 Σ |Fₜ − Fₜ₋₁| over t = 2 … n − 1, plus |Fₙ − Fₙ₋₁|.",
    "rectified": "Only what gets brighter from frame to frame adds up: "
    "2 Σ max(Fₜ − Fₜ₋₁, 0) over t = 2 … n − 1, plus max(Fₙ − Fₙ₋₁, 0).",
    "rank": "The dynamic image, by approximate rank pooling: "
    "Σ (2 (n − t + 1) − (n + 1) (Hₙ − Hₜ₋₁)) Fₜ, where Hₜ = 1 + 1/2 + … + 1/t.",
    "rank-simple": "The weight grows evenly from the first frame to the last: Σ (2t − n − 1) Fₜ.",
    "learnet": "The authors' LEARNet program, whose weights sum to n, so that the face stays "
    "visible: Σ wₜ Fₜ, where wₜ = Σ (2s − n)/s over s = t … n.",
    "onset": "The first frame of the clip.",
    "apex": "The apex frame of the clip.",
    "dis": "Where each pixel of the onset is at the apex: the optical flow by dense inverse "
    "search, u to the right and v down in pixels, and its strain.",
    "tvl1": "Where each pixel of the onset is at the apex: the optical flow by TV-L1, u to the "
    "right and v down in pixels, and its strain.",
}
"""By each of `originet.system.choices.SOURCES`. F₁ … Fₙ are the frames; sums without bounds
run over all."""

FRAMES = "F₁ … Fₙ are the frames of a clip."
