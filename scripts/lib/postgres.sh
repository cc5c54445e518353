# shellcheck shell=bash
# A throwaway PostgreSQL in a temporary folder. Source after setup.sh.
#
#   pg_create        makes it and starts it; sets pg_home, pg_port, pg_socket_url, pg_tcp_url, pg_password_file
#   pg_stop_command, pg_start_command   what a person can paste
#   pg_remove        stops it and removes the folder

# The newest PostgreSQL server there is; Debian keeps it out of PATH.
find_postgres() {
  local directory
  for directory in $(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -rV) \
    "$(dirname "$(command -v postgres || echo /none)")"; do
    if [ -x "$directory/initdb" ] && [ -x "$directory/pg_ctl" ]; then
      pg_bin=$directory
      return 0
    fi
  done
  die "no PostgreSQL server found: apt-get install postgresql"
}

# PostgreSQL refuses to run as root; and its user may not be allowed to look at the folder we are in.
pg_as_owner=()
if [ "$(id -u)" = 0 ]; then pg_as_owner=(env -C / runuser -u postgres --); fi

# True if nothing on this machine listens on the TCP port.
port_is_free() {
  local hex
  hex=$(printf ':%04X' "$1")
  ! awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# free_port FIRST: the first free port from there; below the range of outgoing connections.
free_port() {
  local port=$1
  until port_is_free "$port"; do port=$((port + 1)); done
  echo "$port"
}

pg_create() {
  find_postgres
  pg_home=$(mktemp -d /tmp/warmgate-postgres.XXXXXX)
  pg_port=$(free_port $((15000 + RANDOM % 10000)))
  pg_password_file=$pg_home/password
  (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$pg_password_file")
  if [ "$(id -u)" = 0 ]; then chown -R postgres: "$pg_home"; fi
  local log=$pg_home/log
  # In sessions of their own, so that Ctrl-C cannot leave any of it half done.
  setsid -w "${pg_as_owner[@]}" "$pg_bin/initdb" -D "$pg_home/data" -U warmgate -E UTF8 --locale=C --no-sync \
    --auth-local=trust --auth-host=scram-sha-256 --pwfile="$pg_password_file" >/dev/null
  "${pg_as_owner[@]}" tee -a "$pg_home/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $pg_port
unix_socket_directories = '$pg_home'
fsync = off
dynamic_shared_memory_type = mmap
CONF
  setsid -w "${pg_as_owner[@]}" "$pg_bin/pg_ctl" -D "$pg_home/data" -l "$log" -s -w start || {
    tail -n 5 "$log" >&2
    die "the throwaway PostgreSQL does not start"
  }
  # shellcheck disable=SC2034 # for the scripts that source this
  pg_socket_url="postgresql://warmgate@${pg_home//\//%2F}:$pg_port/postgres"
  # shellcheck disable=SC2034
  pg_tcp_url="postgresql://warmgate@127.0.0.1:$pg_port/postgres"
}

pg_stop_command() { echo "${pg_as_owner[*]} $pg_bin/pg_ctl -D $pg_home/data -m fast stop" | sed 's/^ //'; }
pg_start_command() { echo "${pg_as_owner[*]} $pg_bin/pg_ctl -D $pg_home/data -l $pg_home/log start" | sed 's/^ //'; }

# Safe to call at any moment and more than once.
pg_remove() {
  [ -n "${pg_home:-}" ] && [ -d "$pg_home" ] || return 0
  if [ -f "$pg_home/data/postmaster.pid" ]; then
    setsid -w "${pg_as_owner[@]}" "$pg_bin/pg_ctl" -D "$pg_home/data" -m fast -s -w -t 10 stop 2>/dev/null ||
      setsid -w "${pg_as_owner[@]}" "$pg_bin/pg_ctl" -D "$pg_home/data" -m immediate -s -w stop 2>/dev/null || true
  fi
  rm -rf "$pg_home"
}
