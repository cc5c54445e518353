# shellcheck shell=bash
# What run, test and bench have in common: a place to stand, the programs they need, and nothing left behind.
# Source it after `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$(basename "$0"): $*"
  exit "${status:-1}"
}

# What Warmgate is built with.
# shellcheck disable=SC2034 # for the scripts that read this
libraries=(libpq-dev libmicrohttpd-dev libnghttp2-dev libyaml-dev pkg-config)

# Each package with the reason why it is needed, for people who are asked for their password.
declare -A reasons=(
  [libpq-dev]="PostgreSQL's client library, which Warmgate connects with"
  [libmicrohttpd-dev]="the HTTP server library that answers the probes"
  [libnghttp2-dev]="the HTTP/2 library under the gRPC health protocol"
  [libyaml-dev]="reads the manifests that warmgate plan is given"
  [pkg-config]="tells the compiler where these libraries are"
  [postgresql]="a PostgreSQL server of our own to try against (no cluster is created or started)"
  [pgbouncer]="a pooler of our own to try against (its service is not started)"
  [prometheus]="a Prometheus of our own to scrape with, and promtool (its service is not started)"
  [python3-prometheus-client]="reads what is exposed as OpenMetrics"
  [haproxy]="a load balancer of our own that asks, and is compared with (its service is not started)"
  [nginx]="reads the example for it, and is compared with (its service is not started)"
  [wrk]="asks the HTTP servers that are compared"
  [docker-compose]="reads the example for it; no engine is needed"
  [python3-yaml]="reads an example as YAML"
  [chromium]="a browser of our own to look at the status page with"
  [fonts-dejavu-core]="letters for that browser"
  [openssl]="certificates for the tests of TLS"
  [procps]="looks after processes in the tests"
  [iproute2]="network namespaces, where tests lose packets on purpose"
  [nftables]="drops the packets in those namespaces"
  [util-linux]="setpriv, setsid and unshare"
  [gcc]="compiles the C program that is compared with"
  [libc6-dev]="compiles the C program that is compared with"
  [binutils]="strips the executable to measure its size"
  [python3-venv]="keeps Python packages in a folder of their own"
  [default-jdk-headless]="runs the Java pool that is compared with"
  [libhikaricp-java]="the Java pool that is compared with"
  [libpostgresql-jdbc-java]="what the Java pool connects with"
  [libslf4j-java]="what the Java pool logs with"
  [buildah]="builds the image without an engine"
  [debootstrap]="makes a Debian to build the image in, where none can be pulled"
  [libcap2-bin]="capsh, which takes the capabilities away that a container does not have"
  [python3]="runs the benchmarks and prints their tables"
)

# What Debian starts as a service when it is installed.
services=(pgbouncer prometheus haproxy nginx)

installed() { [ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]; }

# as_root COMMAND…: runs it as root, through sudo if need be.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -- "$@"; fi
}

# install_missing PACKAGE…: installs what is not there. Says what and why; silent when nothing is missing.
install_missing() {
  command -v dpkg-query >/dev/null || {
    say "This is not Debian: make sure that you have the equivalents of $*."
    return 0
  }
  local missing=() package
  for package in "$@"; do installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "To be installed from Debian:"
  for package in "${missing[@]}"; do say "  $package: ${reasons[$package]:-}"; done

  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    die "no root and no sudo: run \"apt-get install ${missing[*]}\" as root once, then this again as yourself"

  local undo=:
  if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    # Debian creates and starts a cluster when the server is installed, unless this file says no beforehand.
    installed postgresql-common || apt_install postgresql-common
    local conf=/etc/postgresql-common/createcluster.conf
    if ! grep -qs '^ *create_main_cluster' "$conf"; then
      as_root sh -c "echo 'create_main_cluster = false' >>$conf"
      undo="sed -i '/^create_main_cluster = false\$/d' $conf"
    fi
  fi
  # Debian starts the service of a package when it is installed, unless this file says no; and at the next boot.
  local policy=/usr/sbin/policy-rc.d service
  for service in "${services[@]}"; do
    if [[ " ${missing[*]} " != *" $service "* ]]; then continue; fi
    if [ ! -e $policy ]; then
      as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy"
      undo+="; rm $policy"
    fi
    undo+="; update-rc.d $service disable; [ ! -d /run/systemd/system ] || systemctl disable $service"
  done
  local result=0
  apt_install "${missing[@]}" || result=$?
  as_root sh -c "$undo" >/dev/null 2>&1 || say "could not undo what was only for the installation: $undo"
  [ "$result" = 0 ] || die "could not install ${missing[*]}"
}

apt_install() {
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300
    --no-install-recommends install "$@")
  local log
  log=$(mktemp)
  # The package lists may be missing or old: fetch them when the first try fails.
  if ! as_root "${install[@]}" >"$log" 2>&1 &&
    ! { as_root apt-get -q update >"$log" 2>&1 && as_root "${install[@]}" >>"$log" 2>&1; }; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

require_swift() {
  command -v swift >/dev/null ||
    die "no swift in PATH: install Swift 6.2 or newer from https://www.swift.org/install/linux/ and run this again"
  local version
  version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
  [ "$(printf '%s\n' 6.2 "$version" | sort -V | head -n 1)" = 6.2 ] ||
    die "needs Swift 6.2 or newer, found ${version:-none} at $(command -v swift)"
}

# python_with FOLDER IMPORT PACKAGE…: a Python with packages from PyPI, in .build/FOLDER and kept for the next time.
# What was made before is kept as long as it can IMPORT.
python_with() {
  local folder=$root/.build/$1 import=$2
  shift 2
  if "$folder/bin/python" -c "import $import" 2>/dev/null; then return 0; fi
  install_missing python3-venv
  say "From PyPI into $folder: $*"
  rm -rf "$folder"
  { python3 -m venv "$folder" && "$folder/bin/pip" install -q "$@"; } >&2 ||
    die "cannot install $* into $folder: is PyPI within reach?"
}

# Sets executable to the path of the built program.
build_release() {
  swift build -c release --static-swift-stdlib --product warmgate >&2
  # shellcheck disable=SC2034 # for the scripts that source this
  executable=$(swift build -c release --static-swift-stdlib --show-bin-path)/warmgate
}
