"""Row of the board Records and dependencies: programs, memory, disk, GPU."""

from monitoring.grafana.build.board import Row
from monitoring.grafana.build.panels import lines
from monitoring.grafana.build.style import Query
from monitoring.grafana.build.tables import Column, rows

HERE = 'instance=~"$instance"'
UNSAID = "The system does not say."


def each(metric: str, *by: str) -> str:
    """Return a figure of each instance; several gateways may tell of the same one."""
    return f"max by ({', '.join(('instance', *by))}) ({metric}{{{HERE}}})"


def _summed(metric: str) -> str:
    """Workers on other machines are asked by themselves: together they are the program."""
    return f"sum by (program) ({metric}{{{HERE}}})"


def _program(expr: str) -> str:
    return f"max by (instance, program) ({expr})"


FREE = f"min by (instance, folder) (disk_free_bytes{{{HERE}}} / disk_size_bytes{{{HERE}}})"

MACHINE = Row(
    "Programs and machine",
    [
        lines(
            "Memory by program",
            [
                Query(_summed("program_resident_memory_bytes"), "{{program}}"),
                Query(f"min(memory_limit_bytes{{{HERE}}})", "limit"),
            ],
            unit="bytes",
            about="Resident memory of all processes of a program together, and the limit.",
            empty=UNSAID,
        ),
        lines(
            "CPU by program",
            Query(
                f"sum by (program) (rate(program_cpu_seconds_total{{{HERE}}}[$__rate_interval]))",
                "{{program}}",
            ),
            stacked=True,
            about="Cores that each program keeps busy.",
            empty=UNSAID,
        ),
        lines(
            "Processes and open files by program",
            [
                Query(_summed("program_processes"), "{{program}} processes"),
                Query(_summed("program_open_fds"), "{{program}} open files"),
            ],
            about="A program that leaks shows here first.",
            empty=UNSAID,
        ),
        lines(
            "Memory of the machine",
            [
                Query(each("memory_available_bytes"), "{{instance}} available"),
                Query(each("memory_limit_bytes"), "{{instance}} limit"),
            ],
            unit="bytes",
            about="Of the machine, or of the control group that it runs in.",
            empty=UNSAID,
        ),
        lines(
            "Disk free, by folder",
            Query(FREE, "{{instance}} {{folder}}"),
            unit="percentunit",
            top=1,
            limit=0.15,
            low=True,
            about="Where DATA_DIR lies. Full: records are refused or dropped, jobs with large "
            "inputs too.",
            empty=UNSAID,
        ),
        lines(
            "GPU",
            [
                Query(each("gpu_utilization_ratio", "gpu"), "{{instance}} {{gpu}} busy"),
                Query(
                    f"max by (instance, gpu) (gpu_memory_used_bytes{{{HERE}}}"
                    f" / gpu_memory_total_bytes{{{HERE}}})",
                    "{{instance}} {{gpu}} memory",
                ),
            ],
            unit="percentunit",
            top=1,
            about="Time that a GPU was busy, and the share of its memory in use.",
            empty="There is no GPU here.",
        ),
        rows(
            "Programs",
            ["instance", "program"],
            [
                Column("processes", _program(f"program_processes{{{HERE}}}")),
                Column(
                    "up for",
                    f"time() - {_program(f'program_start_time_seconds{{{HERE}}}')}",
                    "s",
                ),
                Column("memory", _program(f"program_resident_memory_bytes{{{HERE}}}"), "bytes"),
                Column(
                    "cores (5 min)",
                    _program(f"rate(program_cpu_seconds_total{{{HERE}}}[5m])"),
                    decimals=2,
                ),
            ],
            about="A program that has been up for minutes only was started anew: look at its log.",
            empty=UNSAID,
            span=16,
        ),
        rows(
            "Releases",
            ["version"],
            [Column("gateways", f"count by (version) (build_info{{{HERE}}})")],
            about="Slipway's version, by gateway: two lines while a release is being rolled out.",
            empty="No gateway is scraped.",
            span=8,
        ),
    ],
)
