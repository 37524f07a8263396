"""The campaign file: what is read, what is refused, and in which words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config import Config, ConfigError, Program, dump_config, load_config, parse_config, with_runner

SMALL = """\
name: demo
target: {repo: nanotrain, editable: [train.py]}
objective: {metric: val_bpb}
proposers:
  - {kind: knobs}
"""


def problems(text: str, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.yaml", overrides)
    return caught.value.problems


def test_the_required_keys_alone_give_the_defaults_of_the_contract() -> None:
    config = parse_config(SMALL, "c.yaml")

    assert config.objective.direction == "minimize"
    assert (config.trial.budget_s, config.trial.timeout_s, config.trial.gpus, config.trial.cpus) == (300, 900, None, 1)
    assert config.tournament.model_dump() == {
        "false_keep_rate": 0.05,
        "rule": "calibrated",
        "lanes": "auto",
        "block": "auto",
        "max_repeats": 8,
        "baseline_repeats": 4,
        "common_seeds": False,
    }
    assert set(config.limits.model_dump().values()) == {None}
    assert (config.cluster.address, config.cluster.cpu_slots) == ("local", 2)
    assert (config.sandbox, config.metrics.port, config.seed) == ("auto", 9464, 0)
    assert (config.target.runner, config.target.corpus, config.target.guards) == (None, None, ())
    assert config.proposers[0].weight == 1


def test_a_config_cannot_be_changed_after_it_was_read() -> None:
    config = parse_config(SMALL, "c.yaml")
    with pytest.raises(ValueError, match="frozen"):
        config.limits.trials = 5


@pytest.mark.parametrize(
    ("written", "number"), [("1e-3", 1e-3), ("1E3", 1e3), ("5", 5.0), ("1.5e3", 1500.0), (".5", 0.5), ("1_000", 1000.0)]
)
def test_numbers_in_every_usual_notation_are_numbers(written: str, number: float) -> None:
    assert parse_config(SMALL + f"limits: {{hours: {written}}}", "c.yaml").limits.hours == number


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("limits: {trials: '5'}", "c.yaml:6: limits.trials: given '5'; a whole number"),
        ("limits: {trials: 5.5}", "c.yaml:6: limits.trials: given 5.5; a whole number"),
        ("limits: {trials: true}", "c.yaml:6: limits.trials: given True; a whole number"),
        ("limits: {hours: true}", "c.yaml:6: limits.hours: given True; a number"),
        ("limits: {hours: 1:30}", "c.yaml:6: limits.hours: given '1:30'; a number"),
        ("limits: {hours: .inf}", "c.yaml:6: limits.hours: given inf; a finite number"),
        ("limits: {usd: 0}", "c.yaml:6: limits.usd: given 0; a number above 0.0"),
        ("limits: {worth_per_gpu_hour: 0}", "c.yaml:6: limits.worth_per_gpu_hour: given 0; a number above 0.0"),
        ("limits: {plateau: 0}", "c.yaml:6: limits.plateau: given 0; at least 1"),
        ("limits: 5", "c.yaml:6: limits: given 5; a mapping of keys to values"),
        ("limits: [1]", "c.yaml:6: limits: given [1]; a mapping of keys to values"),
        ("metrics: {port: 65536}", "c.yaml:6: metrics.port: given 65536; at most 65535"),
        ("metrics: {port: -1}", "c.yaml:6: metrics.port: given -1; at least 0"),
        ("sandbox: off", "c.yaml:6: sandbox: given 'off'; 'auto' or 'none'"),
        ("seed: -1", "c.yaml:6: seed: given -1; at least 0"),
        ("cluster: {cpu_slots: 0}", "c.yaml:6: cluster.cpu_slots: given 0; at least 1"),
        ("trial: {gpus: 1.5}", "c.yaml:6: trial.gpus: given 1.5; a share of one GPU (0 to 1) or a whole number of them"),
        ("trial: {gpus: -1}", "c.yaml:6: trial.gpus: given -1; at least 0.0"),
        ("tournament: {baseline_repeats: 1}", "c.yaml:6: tournament.baseline_repeats: given 1; at least 2"),
        ("tournament: {false_keep_rate: 0}", "c.yaml:6: tournament.false_keep_rate: given 0; a number above 0.0"),
        ("tournament: {false_keep_rate: 0.6}", "c.yaml:6: tournament.false_keep_rate: given 0.6; at most 0.5"),
        ("tournament: {common_seeds: yes}", "c.yaml:6: tournament.common_seeds: given 'yes'; true or false"),
        ("tournament: {rule: x}", "c.yaml:6: tournament.rule: given 'x'; 'calibrated' or 'provable'"),
        (
            "tournament: {block: 4}",
            "c.yaml:6: tournament.block: given 4; auto, or the rows of a design: 8, 12, 16, 20, 24, 32, 44, 48, 60, 64, 128",
        ),
        (
            "tournament: {block: true}",
            "c.yaml:6: tournament.block: given True; auto, or the rows of a design: 8, 12, 16, 20, 24, 32, 44, 48, 60, 64, 128",
        ),
        ("tournament: {lanes: x}", "c.yaml:6: tournament.lanes: given 'x'; 'auto', 'solo' or 'blocks'"),
    ],
)
def test_a_wrong_value_is_refused_with_line_key_given_and_allowed(line: str, said: str) -> None:
    assert problems(SMALL + line) == (said,)


def test_a_program_has_a_command_and_defaults() -> None:
    program = parse_config(SMALL + "  - {kind: program, command: 'claude -p < {prompt}'}\n", "c.yaml").proposers[1]
    assert isinstance(program, Program)
    assert (program.command, program.timeout_s, program.parallel, program.weight) == ("claude -p < {prompt}", 600.0, 1, 1.0)
    wrong = "  - {kind: program, command: ' '}\n  - {kind: program, command: x, timeout_s: 0}\n  - {kind: program, comand: x}\n"
    said = problems(SMALL + wrong)
    assert [line.split(": ")[1] for line in said] == [
        "proposers[1].command",
        "proposers[2].timeout_s",
        "proposers[3].command",
        "proposers[3].comand",
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("model: null", "proposers[1].model: is missing; a model as litellm names it"),
        ("model: openai/x, api_base: 'http://user:secret@127.0.0.1/v1'", "keys come from the environment"),
        (
            "model: openai/x, api_base: 'http://127.0.0.1/v1?api-version=1&access_token=secret'",
            "keys come from the environment",
        ),
        ("model: openai/x, api_base: 127.0.0.1", "an address such as http://127.0.0.1:8000/v1"),
        ("model: openai/x, api_key: sk-0123456789abcdef", "proposers[1].api_key: unknown key"),
    ],
)
def test_an_llm_names_its_model_and_holds_no_key(keys: str, said: str) -> None:
    (problem,) = problems(SMALL + f"  - {{kind: llm, {keys}}}\n")
    assert said in problem
    assert "secret" not in problem
    assert "sk-0123456789abcdef" not in problem


def test_proposers_say_which_kinds_and_keys_there_are() -> None:
    text = SMALL + "  - {kind: dice}\n  - {weight: 2}\n  - {kind: replay, pth: x}\n  - {kind: knobs, weight: 0}\n"
    assert problems(text) == (
        "c.yaml:6: proposers[1].kind: given 'dice'; replay, knobs, llm or program",
        "c.yaml:7: proposers[2].kind: is missing; replay, knobs, llm or program",
        "c.yaml:8: proposers[3].path: is missing; it is required",
        "c.yaml:8: proposers[3].pth: unknown key; did you mean path? allowed here: kind, path, weight",
        "c.yaml:9: proposers[4].weight: given 0; a number above 0.0",
    )


def test_an_empty_list_of_proposers_is_refused() -> None:
    assert problems(SMALL, "proposers=[]") == ("--set proposers=[]: proposers: given an empty list; at least one",)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("runner: command, command: ./b, arch: sm_90", "target.arch: belongs to the kernel runner"),
        ("runner: kernel, command: ./b", "target.command: given with runner: kernel"),
        ("runner: kernel, corpus: tiny", "target.corpus: belongs to the train runner"),
        ("arch: sm_91", "target.arch: given 'sm_91'; sm_80, sm_86, sm_89, sm_90, sm_100, sm_120, gfx942"),
        ("runner: command", "target.command: is missing; runner: command needs"),
        ("runner: train, command: ./b", "target.command: given with runner: train"),
        ("guards: [pytest]", "target.guards: belongs to the command runner"),
        ("setup: make", "target.setup: belongs to the command runner"),
        ("mounts: [/data]", "target.mounts: belongs to the command runner"),
        ("runner: command, command: ./b, corpus: tiny", "target.corpus: belongs to the train runner"),
        ("guards: pytest", "target.guards: given 'pytest'; a list"),
        ("command: ''", "target.command: given ''; text that is not empty"),
        ("command: '  '", "target.command: given '  '; text that is not blank"),
    ],
)
def test_keys_of_another_runner_are_refused(target: str, said: str) -> None:
    text = SMALL.replace("editable: [train.py]", f"editable: [train.py], {target}")
    (problem,) = problems(text)
    assert problem.startswith(f"c.yaml:2: {said}")


@pytest.mark.parametrize(
    ("editable", "said"), [("[]", "empty list"), ("train.py", "a list"), ("['!']", "gitignore syntax"), ("[3]", "text")]
)
def test_editable_is_a_list_of_globs(editable: str, said: str) -> None:
    (problem,) = problems(SMALL.replace("[train.py]", editable))
    assert problem.startswith("c.yaml:2: target.editable")
    assert said in problem


def test_a_training_trial_must_outlast_its_budget() -> None:
    assert problems(SMALL + "trial:\n  budget_s: 60\n  timeout_s: 60\n") == (
        "c.yaml:8: trial.timeout_s: given 60; more than trial.budget_s, which is 60: set-up and scoring take time too",
    )


def test_the_time_out_of_a_command_has_nothing_to_do_with_the_training_budget() -> None:
    config = parse_config(SMALL, "c.yaml", ["target.command=./bench", "trial.timeout_s=5"])
    assert config.trial.timeout_s == 5


def test_deciding_the_runner_later_checks_the_keys_that_belong_to_it() -> None:
    config = parse_config(SMALL, "c.yaml", ["target.command=./bench"])
    assert with_runner(config, "command").target.runner == "command"
    with pytest.raises(ConfigError, match=r"target\.command: given with runner: train"):
        with_runner(config, "train")


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        ("{}", "objective.constraints.vram: says nothing"),
        ("{maxx: 3}", "objective.constraints.vram.maxx: unknown key; did you mean max?"),
        ("3", "objective.constraints.vram: given 3; a mapping"),
        ("{max_ratio: 0}", "objective.constraints.vram.max_ratio: given 0; a number above 0"),
        ("{min: 3, max: 2}", "objective.constraints.vram.min: given 3.0; at most max"),
    ],
)
def test_a_constraint_says_at_least_one_possible_thing(constraint: str, said: str) -> None:
    text = SMALL.replace("val_bpb}", f"val_bpb, constraints: {{vram: {constraint}}}}}")
    assert problems(text)[0].startswith(f"c.yaml:3: {said}")


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", "", "a b", "-x", "5"])
def test_the_name_must_be_safe_as_a_folder(name: str) -> None:
    (problem,) = problems(SMALL.replace("demo", f"{name}" if name == "5" else f"'{name}'"))
    assert problem.startswith("c.yaml:1: name: given ")


def test_an_unknown_key_is_refused_at_its_line_with_the_nearest_known_one() -> None:
    assert problems(SMALL + "limits:\n  hours: 3\n  trails: 5\n")[0].startswith(
        "c.yaml:8: limits.trails: unknown key; did you mean trials? allowed here: trials, candidates"
    )


def test_a_missing_key_is_named_at_the_line_of_its_parent() -> None:
    assert problems(SMALL.replace("repo: nanotrain, ", "")) == ("c.yaml:2: target.repo: is missing; it is required",)


def test_every_problem_is_listed_in_the_order_of_the_file_and_a_long_list_is_cut() -> None:
    lines = "".join(f"wrong{n}: 1\n" for n in range(14))
    with pytest.raises(ConfigError) as caught:
        parse_config(SMALL + lines, "c.yaml")
    message = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in message[:10]] == [str(n) for n in range(6, 16)]
    assert message[10:] == ["… and 4 more"]


def test_a_section_whose_keys_are_all_commented_out_keeps_the_defaults() -> None:
    assert parse_config(SMALL + "limits:\n  # trials: 5\n", "c.yaml") == parse_config(SMALL, "c.yaml")


def test_overrides_replace_add_and_remove_values() -> None:
    config = parse_config(
        SMALL + "limits: {trials: 5, hours: 1}\n",
        "c.yaml",
        ["limits.trials=7", "limits.hours=null", "trial.budget_s=1e1", "proposers.0.weight=2", "name=other"],
    )
    assert (config.limits.trials, config.limits.hours, config.trial.budget_s) == (7, None, 10)
    assert (config.proposers[0].weight, config.name) == (2, "other")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("limits.trails=5", "--set limits.trails=5: limits.trails: unknown key; did you mean trials?"),
        ("limits.trials=many", "--set limits.trials=many: limits.trials: given 'many'; a whole number"),
        ("limits.trials", "--set limits.trials: give key.path=value"),
        ("=5", "--set =5: give key.path=value"),
        ("limits..trials=5", "--set limits..trials=5: give key.path=value"),
        ("name.first=x", "--set name.first=x: name has no keys under it; it is 'demo'"),
        ("proposers.3.weight=1", "--set proposers.3.weight=1: proposers is a list; its items are 0 to 0"),
        ("name=[1", "--set name=[1:1:3: not valid YAML"),
    ],
)
def test_a_wrong_override_is_named_as_it_was_typed(override: str, said: str) -> None:
    assert problems(SMALL, override)[0].startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "c.yaml: is empty; required: name, target, objective, proposers"),
        ("# nothing\n", "c.yaml: is empty"),
        ("- a\n", "c.yaml:1: given ['a']; a mapping"),
        ("a: [1\nb: 2\n", "c.yaml:2:2: not valid YAML"),
        ("\ta: 1\n", "c.yaml:1:1: not valid YAML: while scanning for the next token; found character '\\t'"),
        ("a: 1\nb: {c: 1}\na: 2\n", "c.yaml:3: a: given twice, first on line 1; keep one"),
        ("a: \x07\n", "c.yaml:1: not valid YAML: control character"),
        ("a: 1\nb: !!python/object:os.system x\n", "c.yaml:2: given a tag ('!…'); plain values only"),
        ("a: !!int\n", "c.yaml:1: given a tag"),
        ("a: 1\n---\nb: 1\n", "c.yaml:2:1: not valid YAML: expected a single document"),
        ("[" * 5000, "c.yaml: nested too deeply"),
        ("a: &a [*a]\n", "c.yaml:1: "),
    ],
)
def test_what_is_not_one_yaml_mapping_is_refused_where_it_goes_wrong(text: str, said: str) -> None:
    assert problems(text)[0].startswith(said)


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: a\nb: \xff\n")
    for path, said in (
        (tmp_path / "none.yaml", "cannot be read: No such file"),
        (tmp_path, "is a folder"),
        (latin, "latin.yaml:2: not UTF-8"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_config(path)


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load_config(path, ["seed=3"]).seed == 3


def test_importing_the_config_stays_cheap() -> None:
    code = "import sys, orchestrator.config; print(*(m for m in ('optuna', 'pathspec', 'ray', 'torch') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# Text that YAML may hold and that a careless dump would turn into something else.
TEXT = st.one_of(
    st.sampled_from(["1e-3", "yes", "null", "~", "0x1f", "1:30", "2026-01-01", "#", "a: b", "- a", "<<", "=", "'", "µ"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip),
)
NUMBER = st.floats(min_value=1e-300, max_value=1e300)
MAYBE_COUNT = st.none() | st.integers(1, 10**9)


def sections(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


CONFIGS = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "target": st.fixed_dictionaries(
            {"repo": TEXT, "editable": st.just(["train.py", "*.cfg"]), "command": TEXT},
            optional={"guards": st.lists(TEXT), "setup": TEXT, "mounts": st.lists(TEXT)},
        ),
        "objective": st.fixed_dictionaries(
            {"metric": st.sampled_from(["val_bpb", "µs"])},
            optional={
                "front": st.sampled_from([["µj", "a"], ["a", {"tokens_per_s": "maximize"}, "yes"]]),
                "direction": st.sampled_from(["minimize", "maximize"]),
                "constraints": st.dictionaries(
                    st.sampled_from(["a", "yes", "1"]),
                    st.fixed_dictionaries({"max": st.floats(0, 1e300)}, optional={"min_ratio": NUMBER}),
                ),
                "target": st.floats(allow_nan=False, allow_infinity=False),
            },
        ),
        "proposers": st.lists(
            st.fixed_dictionaries({"kind": st.just("replay"), "path": TEXT}, optional={"weight": NUMBER})
            | st.fixed_dictionaries({"kind": st.just("knobs")}, optional={"weight": NUMBER}),
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        "limits": sections(trials=MAYBE_COUNT, hours=NUMBER, usd=NUMBER),
        "trial": sections(timeout_s=NUMBER, gpus=st.none() | st.floats(0, 1), cpus=st.integers(1, 64)),
        "cluster": sections(address=TEXT, cpu_slots=st.integers(1, 9)),
        "seed": st.integers(0, 2**63 - 1),
    },
)


@settings(deadline=None)
@given(CONFIGS)
def test_a_dumped_config_reloads_to_an_equal_one(data: dict[str, Any]) -> None:
    config = Config.model_validate(data)
    assert parse_config(dump_config(config), "dumped.yaml") == config


def test_a_dump_holds_every_key_and_reads_the_same_in_a_plain_yaml_reader() -> None:
    config = parse_config(SMALL, "c.yaml", ["target.repo='1e-3'", "limits.hours=1e-5"])
    assert yaml.safe_load(dump_config(config)) == config.model_dump(mode="json")
