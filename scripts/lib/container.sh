# shellcheck shell=bash
# A container without an engine: a root file system, run as Kubernetes would with the security context of k8s/. Source
# after setup.sh. Needs root, and what `container_privileges` looks for.
#
#   container_start ROOT LOG [NAME=VALUE…] -- COMMAND…   sets container_pid, its process as this machine numbers it
#   container_exec COMMAND…                              runs beside it, as `kubectl exec` does
#   container_stop                                       SIGTERM; returns the exit code
#
# The network is this machine's. Directories below ROOT/mounts are mounted into it at their place: MOUNT/etc/x is /etc/x.

container_privileges() {
  local why
  if [ "$(id -u)" != 0 ]; then
    why="root is needed"
  elif ! why=$(unshare --mount --pid --fork -- true 2>&1); then
    why="no namespaces can be made: $why"
  else
    return 0
  fi
  echo "$why"
  return 1
}

# shellcheck disable=SC2016 # for the shell inside
container_inside='
  set -eu
  root=$1 mounts=$2
  shift 2
  # What a runtime does: the root file system read-only, and on it what a pod has besides.
  mount --make-rprivate /
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  (cd "$mounts" && find . -mindepth 1 -type d -links 2) | while read -r path; do
    mount --bind "$mounts/$path" "$root/$path"
    case $path in ./run/*) ;; *) mount -o remount,bind,ro "$root/$path" ;; esac
  done
  mount -o remount,bind,ro "$root"
  exec capsh --drop=all --no-new-privs --chroot="$root" --groups= --gid=65532 --uid=65532 --shell="$1" -- "${@:2}"
'

container_start() {
  local root=$1 log=$2 mounts=$1.mounts environment=() path
  container_pid=
  shift 2
  while [ "$1" != -- ]; do
    environment+=("$1")
    shift
  done
  shift
  # A runtime makes the places to mount at.
  mkdir -p "$root/proc" "$root/dev" "$mounts"
  (cd "$mounts" && find . -mindepth 1 -type d) | while read -r path; do mkdir -p "$root/$path"; done
  setsid env -i "${environment[@]}" unshare --mount --pid --fork -- \
    "$(command -v bash)" -c "PATH=$PATH; $container_inside" container "$root" "$mounts" "$@" >"$log" 2>&1 &
  container_job=$!
  # The program is process 1 of its namespace, as in a container: the only child of unshare.
  local tries=0
  until container_pid=$(pgrep -P "$container_job") && [ "$(cat "/proc/$container_pid/comm")" = "$(basename "$1")" ]; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] && kill -0 "$container_job" 2>/dev/null || {
      tail -n 10 "$log" >&2
      die "the container does not start"
    }
    sleep 0.1
  done
}

container_exec() {
  local environment
  mapfile -d '' -t environment <"/proc/$container_pid/environ"
  env -i "${environment[@]}" \
    nsenter --target "$container_pid" --mount --pid --root --wd --setgid 65532 --setuid 65532 -- "$@"
}

container_stop() {
  kill -TERM "$container_pid" 2>/dev/null || true
  local status=0
  wait "$container_job" || status=$?
  container_job=
  return "$status"
}

# Safe to call at any moment.
container_remove() {
  [ -n "${container_job:-}" ] || return 0
  # Process 1 takes its namespace with it. (It outlives unshare: with its user it changed whose death it hears of.)
  kill -KILL ${container_pid:+"$container_pid"} "$container_job" 2>/dev/null || true
  wait "$container_job" 2>/dev/null || true
}
