"""What demo and tour have in common: the servers on the host, and what is shown of them."""

SERVERS = {  # how it is: names
    "ACTIVE": tuple(f"demo-web-{n}" for n in range(1, 7)),
    "SHUTOFF": tuple(f"demo-batch-{n}" for n in range(1, 4)),
    "PAUSED": ("demo-pause-1", "demo-pause-2"),
    "SUSPENDED": ("demo-sleep-1",),
}
STUBBORN = "demo-web-6"  # no host can take it live
ACTIONS = {  # Nova's name of an action: ours
    "live-migration": "live",
    "migrate": "cold",
    "confirmResize": "confirm",
    "resume": "resume",
}
PROBLEMS = (
    '{range .status.problems[*]}{.name}: {.reason}: {.message}{"\\n"}'
    '{range .remedies[*]}  - {@}{"\\n"}{end}{end}'
)
