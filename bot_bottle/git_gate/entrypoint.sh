#!/bin/sh
# git-gate: git daemon on port 9418 over mirrors of the configured upstreams.
#
# An upstream is a word NAME=URL, in GIT_GATE_UPSTREAMS or in /etc/git-gate/upstreams, where # starts a comment.
# NAME is what follows git://git-gate:9418/; URL is ssh://[USER@]HOST[:PORT]/PATH or [USER@]HOST:PATH.
# /git-gate/creds holds the key, NAME-key or else id_ed25519, and the hosts that are trusted, NAME-known_hosts or
# else known_hosts. Nothing contacts an upstream here: fetches do (access-hook), and pushes do, once they were
# scanned (pre-receive).
set -euf

base=${GIT_GATE_BASE:-/git}
hooks=${GIT_GATE_HOOKS:-/etc/git-gate}
creds=${GIT_GATE_CREDS:-/git-gate/creds}

# The hooks' Python package: in the images it is at /app, in the source tree beside this file.
lib=${GIT_GATE_LIB:-/app}
beside=$(dirname "$0")
[ -n "${GIT_GATE_LIB-}" ] || [ ! -e "$beside/receive.py" ] || lib=$(cd "$beside/.." && pwd)
export GIT_GATE_LIB="$lib"

die() {
    echo "git-gate: $*" >&2
    exit 1
}

credential() {
    for file in "$creds/$1-$2" "$creds/$3"; do
        if [ -r "$file" ]; then
            echo "$file"
            return
        fi
    done
    die "upstream $1: neither $1-$2 nor $3 can be read in $creds"
}

mirror() {
    name=$1 url=$2 repository=$base/$1.git
    key=$(credential "$name" key id_ed25519)
    known_hosts=$(credential "$name" known_hosts known_hosts)
    git init --quiet --bare --template= "$repository"
    git -C "$repository" config gitgate.upstream "$url"
    # git daemon serves a repository that has this file, and no other.
    touch "$repository/git-daemon-export-ok"
    git -C "$repository" config core.sshCommand "ssh -F /dev/null -i $key -o IdentitiesOnly=yes -o IdentityAgent=none \
-o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=$known_hosts -o GlobalKnownHostsFile=/dev/null \
-o UpdateHostKeys=no -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ForwardAgent=no -o ClearAllForwardings=yes"
    # A malformed tree may hold names that nobody reads.
    git -C "$repository" config receive.fsckObjects true
    # A small pack can grow to many times its size when its objects are stored one by one.
    git -C "$repository" config receive.unpackLimit 1
    # The upstream decides on the deletion of its default branch.
    git -C "$repository" config receive.denyDeleteCurrent ignore
    # git skips a hook that is not executable; a wrapper fails.
    mkdir -p "$repository/hooks"
    printf '#!/bin/sh\nGIT_GATE_LIB="%s" exec "%s/pre-receive"\n' "$lib" "$hooks" >"$repository/hooks/pre-receive"
    chmod 755 "$repository/hooks/pre-receive"
}

for hook in access-hook pre-receive; do
    [ -x "$hooks/$hook" ] || die "$hooks/$hook is missing or not executable"
done
case $base$hooks$creds$lib in *[!A-Za-z0-9._/-]*) die "paths may hold letters, digits, . _ / - only" ;; esac
mkdir -p "$base"

set +f
# A killed git leaves its lock, and no other git runs yet.
rm -f "$base"/*.git/config.lock
for repository in "$base"/*.git; do
    rm -f "$repository/git-daemon-export-ok"
    [ ! -d "$repository" ] || git -C "$repository" config --unset-all gitgate.upstream || true
done
set -f

listed=
if [ -e "$hooks/upstreams" ]; then
    listed=$(sed 's/#.*//' "$hooks/upstreams")
fi
served=' '
for word in $listed ${GIT_GATE_UPSTREAMS:-}; do
    name=${word%%=*} url=${word#*=}
    name=${name%.git}
    case $word in *=*) ;; *) die "upstream $word is not NAME=URL" ;; esac
    case $name in '' | [!A-Za-z0-9_]* | *[!A-Za-z0-9._-]*) die "upstream $word: the name may not stand in a path" ;; esac
    case $served in *" $name "*) die "upstream $name stands twice" ;; esac
    case $url in
    ssh://[!-/]*/*) ;;
    *::* | *://* | -* | :* | *@-* | *@:*) die "upstream $name: $url is not reached by SSH" ;;
    *:*) case ${url%%:*} in */*) die "upstream $name: $url is not reached by SSH" ;; esac ;;
    *) die "upstream $name: $url is not reached by SSH" ;;
    esac
    mirror "$name" "$url"
    served="$served$name "
done
[ "$served" != ' ' ] || echo "git-gate: no upstreams are configured, nothing is served" >&2
echo "git-gate: serving$served" >&2

exec python3 -I -S "$lib/git_gate/__main__.py" serve
