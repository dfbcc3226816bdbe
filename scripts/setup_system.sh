#!/usr/bin/env bash
# Installs the Debian packages that tests use and pip cannot bring. Quick when all are there; never fails for lack
# of rights: it says which tests will be skipped instead.
set -euo pipefail

missing=()

has_package() { dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# A Python without ensurepip makes no virtual environment (Debian splits it off).
python="$(command -v python3.11 || command -v python3.12 || command -v python3 || true)"
if [[ ! -x .venv/bin/python ]] && [[ -n "$python" ]] && ! "$python" -c 'import ensurepip' 2>/dev/null; then
    missing+=("$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
fi
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
    || missing+=(chromium)
# Dutch speech of two actors: sound in one package, the words in the other.
[[ -d /usr/share/games/fillets-ng/sound ]] && compgen -G '/usr/share/games/fillets-ng/sound/*/nl' >/dev/null \
    || missing+=(fillets-ng-data-nl)
[[ -d /usr/share/games/fillets-ng/script ]] || missing+=(fillets-ng-data)
# Sets the wall clock of a single process, for the tests in which clocks jump.
compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || missing+=(libfaketime)

if [[ ${#missing[@]} -eq 0 ]]; then
    echo "all there"
    exit 0
fi

why=""
command -v apt-get >/dev/null || why="this is not Debian"
[[ -n "$why" ]] || [[ $(id -u) -eq 0 ]] || why="not root"
if [[ -z "$why" ]]; then
    echo "installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
        apt-get update --quiet || true
    fi
    # The lists may be there and out of date: then what they name is gone, and new lists help.
    install=(apt-get install --quiet --yes --no-install-recommends)
    "${install[@]}" "${missing[@]}" || { apt-get update --quiet && "${install[@]}" "${missing[@]}"; } \
        || why="apt-get failed"
fi

for package in "${missing[@]}"; do
    has_package "$package" && continue
    case "$package" in
        chromium) skipped="the browser tests are skipped" ;;
        libfaketime) skipped="clocks do not jump in the tests" ;;
        fillets-*) skipped="the tests on recorded Dutch speech are skipped" ;;
        *) skipped="no virtual environment can be made" ;;
    esac
    echo "NOT installed: $package ($why): $skipped; by hand: apt-get install $package"
    [[ "$package" != python* ]] || exit 1
done
