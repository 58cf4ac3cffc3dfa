# SPDX-License-Identifier: Apache-2.0
"""Wrong usage and hostile files: one clear error, a documented status, nothing left behind."""
import os

import pytest

from conftest import data
from vm import run


def fails(status, part, *args, **kwargs):
    got, out, err = run("boot", *args, **kwargs)
    assert (got, part in err) == (status, True), (got, out, err)
    assert out == ""


@pytest.mark.parametrize("args, part", [
    (["--cmdline", "x"], "No kernel"),
    (["--kernel"], "needs a value"),
    (["--kernel", "a", "--kernel", "b"], "--kernel is given twice"),
    (["--kernel", "a", "--pvh", "b"], "exclude each other"),
    (["--kernal", "a"], "did you mean '--kernel'"),
    (["-k", "a", "--cpu", "count=0"], "0 is out of range"),
    (["-k", "a", "--cpu", "count=70000"], "out of range"),
    (["-k", "a", "--cpu", "cont=1"], "did you mean 'count'"),
    (["-k", "a", "--cpu", "count=1,count=2"], "given twice"),
    (["-k", "a", "--cpu", "count"], "has no value"),
    (["-k", "a", "--cpu", "count=4,topology=cores=3"], "are not count=4"),
    (["-k", "a", "--memory", "size=1T1"], "is not a number"),
    (["-k", "a", "--memory", "size=99999999999999999999"], "does not fit in 64 bits"),
    (["-k", "a", "--memory", "size=18014398509481984K"], "does not fit in 64 bits"),
    (["-k", "a", "--memory", "size=5000000"], "not a multiple of the page size"),
    (["-k", "a", "--memory", "size=-1"], "is not a number"),
    (["-k", "a", "--memory", "backend=disk"], "not one of anon, memfd"),
    (["-k", "a", "--memory", "id_m"], "no object 'id_m'"),
    (["-k", "a", "-o", "m,size=1"], "id_NAME"),
    (["-k", "a", "-o", "id_m,size=1G", "-o", "id_m,size=2G"], "given before"),
    (["-k", "a", "-o", "id_a,id_b", "-o", "id_b,id_a", "--memory", "id_a"], "Bad value of --memory"),
    (["-k", "a", "--fw-cfg", f"name=opt/{'n' * 52},string=x"], "has 56 bytes; 1 to 55 are possible"),
    (["-k", "a", "--blk", "path=x,readOnly=true"], "did you mean 'readonly'"),
    (["-k", "a", "--blk", "readonly=true"], "'path' is missing"),
    (["-k", "a", "--console", "tty"], "not one of stdio, log"),
    (["-k", "a", "--console", "log"], "'path' is missing"),
    (["-k", "a", "--num-cpu", "2", "--cpu", "count=1"], "given twice"),
    (["-k", "a", "stray"], "Unexpected argument 'stray'"),
])
def test_wrong_usage_is_status_2(args, part):
    status, out, err = run("boot", *args)
    assert status == 2 and part in err and out == "", (status, err)
    assert err.count("\n") == 1


@pytest.mark.parametrize("args, part", [
    (["boot", "-k", "a", "--memory", "--blk", "path=x"], "--memory needs a value"),
    (["boot", "-k", "a", "-l", "info"], "-l is a global option: it stands before 'boot'"),
    (["boot", "--help=x"], "--help takes no value"),
    (["boot", "--k", "x"], "Unknown option '--k'; did you mean '-k'?"),
    (["chekc"], "did you mean 'check'?"),
    (["check", "--foo"], "alioth check: Unknown option '--foo'"),
    (["check", "--device"], "alioth check: --device needs a value"),
    (["--log-to-file", "--log-dir", "/tmp", "boot", "-k", "a"], "exclude each other"),
])
def test_wrong_words_are_status_2(args, part):
    status, out, err = run(*args)
    assert (status, out) == (2, "") and part in err, err
    assert err.count("\n") == 1


def test_a_failure_is_one_line_with_option_and_reason(tmp_path):
    kernel = data("debian12-cloud.bzImage")
    for options, line in ((["--blk", f"path={tmp_path}"], f'--blk path={tmp_path}: Cannot open "{tmp_path}": Is a directory'),
                          (["--net", "if=lo"], "--net if=lo: "),
                          (["--net", "tap=/dev/null"], "--net tap=/dev/null: "),
                          (["--console", "log,path=/none/x"],
                           '--console path=/none/x: Cannot open the console log "/none/x": No such file or directory')):
        status, out, err = run("boot", "-k", kernel, *options)
        assert (status, out) == (1, "") and err.startswith(f"Error: {line}") and err.count("\n") == 1, err
    status, _, err = run("-l", "error,cli=debug", "boot", "-k", kernel, "--blk", f"path={tmp_path}")
    assert status == 1 and ", at src/block/file.c:" in err, err


def test_a_disk_that_is_also_a_log_is_kept(tmp_path):
    image = tmp_path / "disk.img"
    image.write_bytes(b"data" * (512 << 10))
    for other in (["--blk", f"path={image}"], ["--pmem", f"path={image}"], ["--console", f"log,path={image},name=a"]):
        fails(1, "or by another device of this one", "-k", data("debian12-cloud.bzImage"), "--console",
              f"log,path={image}", *other)
    assert image.read_bytes() == b"data" * (512 << 10)


def test_unknown_command_and_empty_line():
    assert run("bot")[0] == 2
    assert run()[0] == 2
    assert run("--log-file", "x", "boot", "-k", "a")[0] == 2


def test_help_and_version():
    for args in (["--help"], ["-V"], ["boot", "--help"], ["run"], ["check", "--help"]):
        status, out, err = run(*args)
        assert status == 0 and out and not err


def test_missing_and_odd_files(tmp_path):
    initramfs = data("initramfs")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    empty = tmp_path / "empty"
    empty.touch()
    text = tmp_path / "text"
    text.write_text("not a kernel, but long enough to be read as one" * 100)
    fails(1, "No such file", "--kernel", "/nonexistent")
    fails(1, "is a directory", "--kernel", str(tmp_path))
    fails(1, "is a FIFO", "--kernel", str(fifo))
    fails(1, "is a device", "--kernel", "/dev/null")
    fails(1, "It is empty", "--kernel", str(empty))
    fails(1, "neither a bzImage nor an ELF", "--kernel", str(text))
    fails(1, "is a directory", "--kernel", data("debian12-cloud.bzImage"), "--initramfs", str(tmp_path))
    fails(1, "The initramfs has", "--kernel", data("debian12-cloud.bzImage"), "--initramfs", initramfs, "--memory",
          "size=2M")


@pytest.mark.parametrize("cut", [600, 0x400, 0x4000, 100000, 5000000])
def test_truncated_kernels(tmp_path, cut):
    for kind in ("bzImage", "vmlinux"):
        path = tmp_path / kind
        with open(data("debian12-cloud." + kind), "rb") as f:
            path.write_bytes(f.read(cut))
        status, _, err = run("boot", "--kernel", str(path), "--memory", "size=128M", timeout=60)
        assert status == 1 and err.startswith("Error: "), (kind, cut, status, err)


def test_hypervisor_that_is_not_there():
    fails(1, "/dev/nokvm", "--kernel", data("debian12-cloud.bzImage"), "--hypervisor", "kvm,dev_kvm=/dev/nokvm")
    fails(1, "/dev/null", "--kernel", data("debian12-cloud.bzImage"), "--hypervisor", "kvm,dev_kvm=/dev/null")


def test_memory_that_the_host_does_not_have():
    fails(1, "more than the host has", "--kernel", data("debian12-cloud.bzImage"), "--memory", "size=512G")
    fails(1, "address bits", "--kernel", data("debian12-cloud.bzImage"), "--memory", "size=8192T")
    fails(1, "huge pages", "--kernel", data("debian12-cloud.bzImage"), "--memory", "size=4G,hugetlb=1G")


def test_too_long_command_line():
    fails(1, "takes 2047", "--kernel", data("debian12-cloud.bzImage"), "--cmdline", "x" * 5000)


def test_failed_start_leaves_no_socket(tmp_path):
    path = tmp_path / "console"
    fails(1, "No such file", "--kernel", data("debian12-cloud.bzImage"), "--console", f"socket,path={path}", "--blk",
          "/nonexistent")
    assert not path.exists()
