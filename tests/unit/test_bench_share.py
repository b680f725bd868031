"""What hack/bench share says at its end, which is a quarter of an hour after its beginning."""

from dataclasses import replace

from tests.bench import share
from tests.bench.report import Report
from tests.share_cases import Case, Found
from tests.share_simulated import CELLS, Simulated


def found(case, canary):
    return Found(
        case,
        {"v1": case.claims - canary, "v2": canary},
        most_ahead=-0.05,
        writes_per_s=1.7,
        seconds=60.0,
        missing=(40, 42),
    )


def test_each_target_has_its_figure_and_all_are_met_when_all_is_well():
    cases = {name: found(case, 249) for name, case in share.CASES.items()}
    figures = share.figures(cases, found(share.HALF, 2460), found(share.WITHOUT, 900))
    figures |= share.of_cells({cell: Simulated(cell.share - 0.1, 5.0) for cell in CELLS})
    report = Report("share", figures, share.TARGETS)
    assert report.met, report.lines()
    assert figures["share_percent_light_failing"] == 4.98
    assert figures["simulated_points_off_at_1000_per_s_stable_first"] == 0.1
    assert len([name for name in figures if name.startswith("simulated_percent_")]) == 4 * 5 * 2


def test_the_worst_case_and_cell_count():
    good = found(Case(), 249)
    bad = replace(good, dead=1, after_rollback_s=0.7)
    figures = share.figures(dict.fromkeys(share.CASES, good), bad, good)
    assert (figures["dead_lettered_good"], figures["last_claim_after_rollback_s"]) == (1, 0.7)
    cells = {cell: Simulated(cell.share, 0.0) for cell in CELLS} | {CELLS[0]: Simulated(0.4, 70.0)}
    assert share.of_cells(cells)["simulated_points_off_at_1_per_s"] == 0.6
    assert share.of_cells(cells)["simulated_starved_s"] == 70.0
