"""What a module says that Windows lacks: names of POSIX, paths of Linux, and habits that end in another way there.

Words of the language alone: no module is imported, so that any file can be read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODULES = _words(
    "_posixsubprocess crypt curses fcntl grp nis ossaudiodev posix pty pwd readline resource spwd syslog termios tty"
)
"""Modules of the standard library that Windows has not."""

OF_OS = _words(
    "CLD_EXITED F_LOCK O_ACCMODE O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_LARGEFILE O_NDELAY O_NOATIME "
    "O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_RSYNC O_SYNC O_TMPFILE PRIO_PROCESS P_ALL P_PGID P_PID RTLD_GLOBAL "
    "RTLD_LAZY RTLD_LOCAL RTLD_NOW SCHED_BATCH SCHED_FIFO SCHED_IDLE SCHED_OTHER SCHED_RR SEEK_DATA SEEK_HOLE "
    "WCONTINUED WCOREDUMP WEXITED WEXITSTATUS WIFCONTINUED WIFEXITED WIFSIGNALED WIFSTOPPED WNOHANG WNOWAIT "
    "WSTOPPED WSTOPSIG WTERMSIG WUNTRACED chown chroot confstr confstr_names copy_file_range ctermid environb "
    "eventfd fchdir fchmod fchown fdatasync fork forkpty fpathconf fstatvfs fwalk get_blocking getegid getenvb "
    "geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority getrandom getresgid getresuid "
    "getsid getuid getxattr initgroups killpg lchown listxattr lockf login_tty major makedev memfd_create minor "
    "mkfifo mknod nice openpty pathconf pathconf_names pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn "
    "posix_spawnp pread preadv pwrite pwritev readv register_at_fork removexattr sched_get_priority_max "
    "sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler sched_param sched_rr_get_interval "
    "sched_setaffinity sched_setparam sched_setscheduler sched_yield sendfile set_blocking setegid seteuid setgid "
    "setgroups setns setpgid setpgrp setpriority setregid setresgid setresuid setreuid setsid setuid setxattr "
    "spawnlp spawnlpe spawnvp spawnvpe splice statvfs sync sysconf sysconf_names tcgetpgrp tcsetpgrp ttyname uname "
    "unshare wait wait3 wait4 waitid writev"
)
"""Names of os that Windows has not. Flags that go with them are left out: mypy knows all, in the slow lane."""

OF_SIGNAL = _words(
    "ITIMER_PROF ITIMER_REAL ITIMER_VIRTUAL ItimerError SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGHUP SIGIO SIGIOT "
    "SIGKILL SIGPIPE SIGPOLL SIGPROF SIGPWR SIGQUIT SIGRTMAX SIGRTMIN SIGSTKFLT SIGSTOP SIGSYS SIGTRAP SIGTSTP "
    "SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ SIG_BLOCK SIG_SETMASK SIG_UNBLOCK "
    "Sigmasks alarm getitimer pause pidfd_send_signal pthread_kill pthread_sigmask setitimer siginterrupt "
    "sigpending sigtimedwait sigwait sigwaitinfo struct_siginfo"
)
"""Names of signal that Windows has not."""

NAMES = {
    "os": OF_OS,
    "signal": OF_SIGNAL,
    "time": _words("CLOCK_BOOTTIME CLOCK_MONOTONIC CLOCK_REALTIME clock_getres clock_gettime clock_gettime_ns tzset"),
    "mmap": _words("MADV_WILLNEED MAP_ANONYMOUS MAP_PRIVATE MAP_SHARED PROT_READ PROT_WRITE"),
    "socket": _words("AF_UNIX SCM_RIGHTS"),
    "select": _words("epoll poll"),
    "locale": _words("nl_langinfo"),
}
"""By module, what of it Windows has not."""

KEYWORDS = _words("dir_fd dst_dir_fd pass_fds preexec_fn process_group src_dir_fd start_new_session umask")
"""Arguments that Windows refuses or leaves aside."""

METHODS = {
    "rename": "fails on Windows where the new name is taken: replace",
    "renames": "fails on Windows where the new name is taken",
    "symlink": "needs a privilege on Windows",
    "symlink_to": "needs a privilege on Windows",
    "NamedTemporaryFile": "cannot be opened a second time on Windows",
}
"""Methods and functions whose name alone says it, with what is wrong with them."""

PATHS = re.compile(r"/(proc|sys|dev|tmp|etc|usr|var|run|opt|home|bin)(/|$)|(proc|sys|etc|usr)/\w")
LIBRARY = re.compile(r"\.so(\.\d+)*\b")


class Finding(NamedTuple):
    """A name that Windows lacks, or a path or habit of POSIX, which ends in another way there.

    guarded: whether the lines around it ask for the name or the platform first, or catch its absence.
    """

    what: str
    line: int
    is_name: bool
    guarded: bool


def findings_of(source: str) -> list[Finding]:
    """Return what a module's source says that Windows lacks, in the order of its lines."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    texts = _docstrings(tree)
    found = []
    for node in ast.walk(tree):
        for what in _of(node) if node not in texts else ():
            found.append(Finding(what, getattr(node, "lineno", 0), _is_name(what), _is_guarded(node, what, parents)))
    return sorted(found, key=lambda finding: finding.line)


def _is_name(what: str) -> bool:
    module, _, name = what.partition(".")
    return module in MODULES or name in NAMES.get(module, ())


def _of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
    elif isinstance(node, ast.ImportFrom):
        module = (node.module or "").split(".")[0]
        if module in MODULES:
            yield module
        yield from (f"{module}.{alias.name}" for alias in node.names if alias.name in NAMES.get(module, ()))
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if node.attr in NAMES.get(node.value.id, ()):
            yield f"{node.value.id}.{node.attr}"
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        if PATHS.match(node.value) or LIBRARY.search(node.value):
            yield node.value
    elif isinstance(node, ast.Call):
        yield from _of_call(node)


def _of_call(call: ast.Call) -> Iterator[str]:
    name = _name_of(call)
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    yield from sorted(f"{word}=" for word in KEYWORDS & set(filter(None, arguments)))
    if name.rpartition(".")[2] in METHODS:
        yield f"{name}()"
    if name == "os.open":
        yield "os.open()"
    if name.endswith("CDLL") and call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value is None:
        yield "CDLL(None)"
    if "encoding" in arguments or "errors" in arguments:
        return
    if name.endswith((".read_text", ".write_text")) or name in ("read_text", "write_text"):
        yield f"{name.rpartition('.')[2]}() without an encoding"
    if (name == "open" and "b" not in _mode(call, arguments)) or _opens_text(call, name):
        yield "open() without an encoding"
    if "text" in arguments or "universal_newlines" in arguments:
        yield "text= without an encoding"


def _name_of(call: ast.Call) -> str:
    """Return the dotted name of what is called; of a method of something that is no name, ".method"."""
    parts: list[str] = []
    node: ast.expr = call.func
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts))


def _mode(call: ast.Call, arguments: dict[str | None, ast.expr]) -> str:
    mode = arguments.get("mode", call.args[1] if len(call.args) > 1 else None)
    return mode.value if isinstance(mode, ast.Constant) and isinstance(mode.value, str) else ""


def _opens_text(call: ast.Call, name: str) -> bool:
    """Return whether a method open is called with a mode of text, as that of Path."""
    first = call.args[0] if call.args and name.endswith(".open") else None
    return isinstance(first, ast.Constant) and re.fullmatch(r"[rwax]t?\+?t?", str(first.value)) is not None


def _docstrings(tree: ast.AST) -> set[ast.AST]:
    """Return the strings that stand alone: what is said of a module, a function or a constant."""
    return {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


ABSENT = frozenset({"ImportError", "ModuleNotFoundError", "AttributeError"})
"""The errors of what is not there."""


def _is_guarded(node: ast.AST, what: str, parents: dict[ast.AST, ast.AST]) -> bool:
    """Return whether a name is used only after a question for it or the platform, or where its absence is caught."""
    inner = node
    while (outer := parents.get(inner)) is not None:
        if isinstance(outer, (ast.If, ast.IfExp)) and inner is not outer.test:
            first = inner in outer.body if isinstance(outer, ast.If) else inner is outer.body
            if _asks_for_the_platform(outer.test) or (first and _asks_for(what, outer.test)):
                return True
        if isinstance(outer, ast.Try) and inner in outer.body and any(_catches(each.type) for each in outer.handlers):
            return True
        if isinstance(outer, ast.With) and inner in outer.body:
            suppressing = [item.context_expr for item in outer.items if isinstance(item.context_expr, ast.Call)]
            if any(_name_of(call).endswith("suppress") and any(map(_catches, call.args)) for call in suppressing):
                return True
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return False  # it may be called from anywhere
        inner = outer
    return False


def _asks_for_the_platform(test: ast.expr) -> bool:
    words = ast.unparse(test)
    return "sys.platform" in words or "os.name" in words


def _asks_for(what: str, test: ast.expr) -> bool:
    module, _, name = what.rpartition(".")
    return f"hasattr({module}, '{name}')" in ast.unparse(test)


def _catches(error: ast.expr | None) -> bool:
    return error is not None and any(isinstance(part, ast.Name) and part.id in ABSENT for part in ast.walk(error))
