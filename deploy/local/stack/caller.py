"""What the caller's environment asks of the stack."""

from collections.abc import Mapping

from deploy.local.stack import ports
from deploy.local.stack.errors import BadSetting
from flickrhub_common.setting_files import BadSettingFile, read_setting

# Handed only to the services that need them; every one can be given as NAME_FILE too.
HANDED_OUT = ("RABBIT_URL", "MONGO_URL", "REDIS_URL", "INTERNAL_API_TOKEN", "ENCRYPTION_KEYS")
# What the stack decides for each process, whatever the caller's environment says.
DECIDED = ("PORT", "METRICS_PORT", "HOST", "TARGET", "AUTH_URL", "FLICKR_SIM_URL")
# Of the shell, of make or of another interpreter: no business of a service.
FOREIGN = (
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "OLDPWD",
    "PWD",
)
LOOPBACK = "127.0.0.0/8,::1/128"
# What the services of a local stack get unless the caller says otherwise.
SERVICE_DEFAULTS = {
    "SERVICE_ENV": "local",
    "MOCK_FLICKR": "true",
    "CALLBACK_ALLOW_CIDRS": LOOPBACK,
    "UPLOAD_ALLOW_CIDRS": LOOPBACK,
}
# Settings that say something when they are empty; any other is as if it weren't there.
TOLD_BY_NOTHING = {"CALLBACK_ALLOW_CIDRS", "UPLOAD_ALLOW_CIDRS"}
# Names that are settings of a service or of the stack: what a second `make up` compares.
SETTING_NAMES = {"HOST", "SERVICE_ENV", "MOCK_FLICKR", "INTERNAL_API_TOKEN", "ENCRYPTION_KEYS", *ports.DEFAULTS}
SETTING_PREFIXES = (
    *(
        "FLICKR_",
        "JOB_",
        "CACHE_",
        "CALLBACK_",
        "DELIVERY_",
        "WORKER_",
        "OAUTH_",
        "OTEL_",
        "LOG_",
        "SWEEP_",
        "CONNECTION_",
    ),
    *("SHUTDOWN_", "RABBIT_", "MONGO_", "REDIS_", "SIM_", "AUTH_", "EXECUTOR_", "NOTIFIER_", "RATE_", "UPLOAD_"),
    *("REQUEST_", "MAX_", "TRUSTED_", "CORS_"),
)


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables that are settings, NAME_FILE of what is handed out already read.

    Raises BadSetting when such a file can't be used, or a variable is given both ways.
    """
    told = {name: value for name, value in environ.items() if value or name in TOLD_BY_NOTHING}
    found = {name: value for name, value in told.items() if _is_setting(name)}
    for name in HANDED_OUT:
        path = found.pop(f"{name}_FILE", None)
        if path:
            if name in found:
                raise BadSetting(f"{name}: given twice, as {name} and by {name}_FILE; set one of them")
            found[name] = _read(path, variable=f"{name}_FILE")
    return found


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment as every service gets it: without what the stack decides or hands out itself."""
    kept_back = {*HANDED_OUT, *DECIDED, *FOREIGN, *(f"{name}_FILE" for name in HANDED_OUT)}
    passed = {name: value for name, value in environ.items() if name not in kept_back}
    # A proxy in the caller's environment must not get to see what services say to each other.
    loopback = "127.0.0.1,localhost,::1"
    for name in ("NO_PROXY", "no_proxy"):
        passed[name] = f"{passed[name]},{loopback}" if passed.get(name) else loopback
    return passed


def _is_setting(name: str) -> bool:
    return name in SETTING_NAMES or name.removesuffix("_FILE") in SETTING_NAMES or name.startswith(SETTING_PREFIXES)


def _read(path: str, *, variable: str) -> str:
    try:
        return read_setting(path, variable=variable)
    except BadSettingFile as error:
        raise BadSetting(str(error)) from None
