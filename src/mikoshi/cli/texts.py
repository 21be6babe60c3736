"""The sentences for each error: (what happened, what to do next). See explain.py."""

from __future__ import annotations

from collections.abc import Mapping

USE_THE_SOCKET = "Use the socket that it is given, for instance: gunicorn --bind fd://{fd} … or $LISTEN_FDS."

TEXTS: dict[str, tuple[str, str]] = {
    "MikoshiError": ("something went wrong", ""),
    "UsageError": ("this cannot be done", ""),
    "WrongUsage": ("{reason}", ""),
    "ConfigMissing": (
        "there is no mikoshi.toml in {directory} or above it",
        "Run `mikoshi init` in the application's directory, or name it: mikoshi -C DIR …",
    ),
    "ConfigInvalid": ("the configuration has problems:", "`mikoshi config docs` explains every key."),
    "EnvironmentUnknown": (
        "there is no environment {name!r} in mikoshi.toml",
        "It has: {known}.",
    ),
    "EnvironmentNotChosen": ("which environment?", "One of: {known}. For example: mikoshi {verb} ENV"),
    "HostNotInEnvironment": ("{host!r} is not a host of this environment", "Its hosts are: {known}."),
    "SameMachine": (
        "{first} and {second} are one machine and one directory",
        "Remove one of the two from `hosts`, or give the nodes different directories.",
    ),
    "OnlyNeedsDeployed": (
        "--only brings hosts to what the fleet runs, but this would be a new deployment: {changed}",
        "Deploy to all hosts first (without --only), or go back to the source of deployment {current}.",
    ),
    "SecretsMissing": (
        "these secrets have no value: {names}",
        "Looked in: {looked}. Set the environment variables, or add lines NAME=value to the file.",
    ),
    "SecretCommandFailed": (
        "the command for the secret {name} ({where}) gave no value: status {status} {reason}",
        "Run the command by hand; what it prints is the secret and is not shown here.",
    ),
    "SecretCommandTimeout": (
        "the command for the secret {name} ({where}) ran longer than {seconds} s and was stopped",
        "Run the command by hand: does it wait for something?",
    ),
    "ReleaseUnknown": (
        "no release {name!r} is kept here, or the name fits several ({matches})",
        "`mikoshi releases` lists them; give more of the id.",
    ),
    "RefUnknown": ("git knows no {ref!r} here: {reason}", "Name a branch, tag or commit of this repository."),
    "SourceDirty": (
        'source = "clean", but the work tree has changes that are not committed: {paths}',
        "Commit or stash them, or deploy a commit: mikoshi deploy --ref HEAD",
    ),
    "DeploymentUnknown": ("deployment {seq} is not kept", "Known good are: {known}."),
    "NothingToRollBackTo": (
        "there is no earlier good deployment that differs from deployment {stable}",
        "`mikoshi history` shows what there was; `mikoshi releases` what can still be deployed.",
    ),
    "NothingRuns": ("nothing runs on {nodes}", "`mikoshi deploy` brings the application there and starts it."),
    "ProcessUnknown": ("there is no process {name!r}{suggestion}", "This environment has: {known}."),
    "Held": ("somebody else is at work", "Wait, then run the command again."),
    "LeaseHeld": (
        "{node} is held by {holder} ({message}), for {expires_in} s more unless renewed",
        "Nothing was changed. Wait until that deploy has ended, then run the command again.",
    ),
    "Fenced": (
        "another deployer took over (token {current} after our {token})",
        "This command has stopped; `mikoshi status` shows what the other one does.",
    ),
    "InfrastructureError": ("the machine or the way to it is at fault", ""),
    "HostUnreachable": (
        "no connection to {address}: {reason}",
        "Check that the host is up and that its name, port and firewall are right.",
    ),
    "HostTimeout": (
        "no answer within {seconds} s ({phase})",
        'Check the host, or allow more time: ssh = {{ connect = "30s" }}',
    ),
    "AuthenticationFailed": (
        "{address} refused every key offered for {user}",
        "Try `ssh {user}@{address}`; load the key (ssh-add) or name it in ~/.ssh/config.",
    ),
    "HostKeyUnknown": (
        "the key of {address} (port {port}) is not known: {fingerprint}",
        (
            "Compare the fingerprint, then add it: ssh-keyscan -p {port} {address} >> ~/.ssh/known_hosts "
            "(or pin it with host_key)"
        ),
    ),
    "HostKeyChanged": (
        "the key of {address} (port {port}) is not the known one: it shows {fingerprint}",
        (
            "Was the host rebuilt? If so, remove the old key: ssh-keygen -R '[{address}]:{port}'. "
            "If not, somebody may be in between: do not go on."
        ),
    ),
    "ConnectionLost": (
        "the connection was lost in the middle of {during}. {detail}",
        "The node finishes the step it was in. Run the same command again: it goes on from there.",
    ),
    "SshConfigUnusable": (
        "{place}: {reason} {option}",
        'Mend that file, or use the system\'s own client, which knows every option: ssh = "openssh"',
    ),
    "TransportMissing": ("this machine lacks {needs}", 'Install it, or choose another way: ssh = "asyncssh"'),
    "PythonMissing": (
        "there is no Python 3.9 or newer (found: {found!r})",
        "Install it there: apt-get install python3. Nothing else is needed on a node.",
    ),
    "ProtocolMismatch": (
        "the two sides do not understand each other: {detail}",
        "Is another version of Mikoshi, or a program that prints on login, in between?",
    ),
    "DiskFull": (
        "the disk is too full: {path} needs {needed} bytes, {free} are free",
        "Nothing was written. Make room there (`keep` says how many deployments stay), then run it again.",
    ),
    "InodesExhausted": (
        "too few inodes: {path} needs {needed}, {free} are free",
        "Nothing was written. Remove files there, or make a file system with more inodes, then run it again.",
    ),
    "PathUnusable": (
        "{path} cannot be used: {reason}",
        "Let the login user own it, log in as root or with sudo, or set `path`.",
    ),
    "PackingError": ("no release could be made", ""),
    "BuildStepFailed": ("the build step `{command}` ended with status {status}", "No node was touched."),
    "RemoteCommandFailed": (
        "the build host could not run `{command}` (status {status})",
        "It needs sh, tar and mktemp, and room in its temporary directory. No node was touched.",
    ),
    "BuildInputMissing": (
        "the build step `{command}` has the input {input}, and nothing that is packed has this name",
        "Correct `inputs`: with a misspelt one the step would never run again.",
    ),
    "BuildOutputMissing": (
        "the build step `{command}` did not make its output {output}",
        "Correct `outputs` or the command.",
    ),
    "LinkLeavesTree": (
        "the link {path} points out of the release: {target}",
        "Make it relative and within the application, or exclude it in .mikoshiignore.",
    ),
    "NameNotUtf8": ("the file name {path} is not UTF-8", "Rename it, or exclude it in .mikoshiignore."),
    "NotPackable": ("{path} cannot be packed: {reason}", "Exclude it in .mikoshiignore."),
    "FileChanged": (
        "{path} kept changing while it was packed",
        "Stop what writes it, or exclude it in .mikoshiignore.",
    ),
    "NothingToPack": ("{directory} has nothing to pack", "Are all files ignored? See .gitignore and `exclude`."),
    "ContentMissing": (
        "the content of release {release:.12} is neither here nor complete on any node (missing: {paths})",
        "Deploy it from source instead: mikoshi deploy --ref COMMIT (`mikoshi history` names commits).",
    ),
    "ForeignPlatform": (
        "the release has files built for {platform}, but the node is {node_platform}: {files}",
        'Build for the node: [release] build_on = "hosts", or exclude those files.',
    ),
    "NodeFailure": ("a step failed", ""),
    "ContentCorrupt": (
        "{path} arrived damaged: expected {expected:.12}, got {got:.12}",
        "Run the same command again; if it stays, suspect that host's memory or disk.",
    ),
    "TreeEdited": (
        "deployment {seq} was edited by hand: {paths}",
        "It was not run. The next deploy stages it anew; keep edits in the source.",
    ),
    "NotStaged": ("deployment {seq} is not complete there", "Run the same command again: it stages what is missing."),
    "SharedMissing": (
        "the shared file {path} is not there",
        "Put it once into the node's shared/ directory (a directory would have been made: write it with a slash).",
    ),
    "SharedConflict": (
        "{path} is shared, but the release packs it too",
        "Exclude it from the release, or take it off `shared`.",
    ),
    "RunAsImpossible": (
        "cannot run as {run_as!r} when logged in as {user!r}: {reason}",
        "Log in as that user or as root, give the user passwordless sudo, or drop run_as.",
    ),
    "HookFailed": ("{hook} ended with status {status}: {command}", ""),
    "HookTimeout": (
        "{hook} ran longer than {seconds} s and was stopped: {command}",
        "Raise its `within` if it needs it.",
    ),
    "HealthFailed": ("{process} is not healthy after {seconds} s: {url} answers {answer}", ""),
    "PortTaken": (
        "{process} cannot listen on {address}: {owner} does already",
        "Stop it, or give the process another `listen`. Nothing that runs was touched.",
    ),
    "AddressUnusable": ("{process} cannot listen on {address}: {reason}", "Choose an address that the host has."),
    "ProcessEnded": ("{process} {ended} {when}", "{remedy}"),
    "ProcessNotStarted": ("{process} cannot be started: {reason}", ""),
    "SocketNotUsed": (
        "{process} took no connection from its socket in {seconds} s{opened}",
        USE_THE_SOCKET.replace("{", "{{").replace("}", "}}"),
    ),
    "RunnerUnavailable": ("the process runner is not to be had: {reason}", "Its log is log/runner.log on the host."),
    "SiteNotAnswering": (
        "none of {requests} requests to {url} got a good answer: {kinds}",
        "No node was changed. Is the URL right? To deploy to a site that does not answer, leave --probe out.",
    ),
    "ProbeBudgetExceeded": (
        "{failed} of {requests} requests to {url} failed ({kinds}), and --probe-budget allows {budget}",
        "Look at the application's log of that time; the report above has the figures of each phase.",
    ),
    "Interrupted": ("interrupted {done}", "Run the same command again to go on."),
}

# Kinds of failed requests, as ports.web names them.
FAILURES: dict[str, str] = {
    "dns": "name unknown",
    "refused": "refused",
    "unreachable": "unreachable",
    "tls": "TLS",
    "reset": "reset",
    "closed_early": "closed early",
    "timeout": "timed out",
    "not_http": "not HTTP",
    "server_error": "status 5xx",
    "client_error": "status 4xx",
    "other": "other",
}


def failures(counts: Mapping[str, int]) -> str:
    """Failed requests by kind: "3 refused, 1 reset"; the most frequent first."""
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {FAILURES.get(kind, kind)}" for kind, count in frequent)
