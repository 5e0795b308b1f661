#!/usr/bin/env bash
# Continuo beside its peers: the same load from the same client, one server after the other, server on one core and client
# on another. Everything it starts it stops; everything it makes is under dist/bench.
#
#   scripts/bench-compare.sh [options]
#     --rounds N       run everything N times; the table shows medians (1)
#     --cases "a b"    some of: idle idle-own fanout loaded channels publish16 publish1 storm churn streams
#     --servers "a b"  some of: continuo nchan nats
#     --seconds N      how long a steady load is measured (10)
#     --results FILE   where the results go, one JSON object a line (dist/bench/results.ndjson)
#     --keep           add to that file instead of beginning it anew
#
# Peers: nchan comes from Debian's libnginx-mod-nchan (installed when missing and run as root), the NATS server is built
# from the module pinned in scripts/peers. A peer that cannot be had is left out, and so is Continuo while its binary has
# no serve command.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=1
seconds=10
cases="idle idle-own fanout loaded channels publish16 publish1 storm churn streams"
servers="continuo nchan nats"
results=dist/bench/results.ndjson
keep=no
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2; shift 2 ;;
	--cases) cases=$2; shift 2 ;;
	--servers) servers=$2; shift 2 ;;
	--seconds) seconds=$2; shift 2 ;;
	--results) results=$2; shift 2 ;;
	--keep) keep=yes; shift ;;
	*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2 ;;
	esac
done

go=${GO:-go}
binary=bin/continuo
port=${BENCH_PORT:-17100}
work=$PWD/dist/bench/run.$$
mkdir -p "$work" "$(dirname "$results")"
[ "$keep" = yes ] || : >"$results"
ulimit -n "$(ulimit -Hn)"

say() { printf 'bench-compare: %s\n' "$*" >&2; }

# One core for the server, another for the client. Without a second core, or without taskset, they share.
on_server=()
on_client=()
if command -v taskset >/dev/null && [ "$(nproc)" -ge 2 ]; then
	on_server=(taskset -c 0)
	on_client=(taskset -c 1)
else
	say "no taskset or no second core: server and client share the machine"
fi

pid=
stop() {
	[ -n "$pid" ] || return 0
	kill -TERM "$pid" 2>/dev/null || true
	for _ in $(seq 100); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	pid=
}
finish() {
	stop
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# answers PORT PATH: does a GET answer 200?
answers() {
	local line
	exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
	printf 'GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n' "$2" >&3
	IFS= read -r -t 5 line <&3 || line=
	exec 3>&- 3<&-
	[[ $line == "HTTP/1.1 200"* ]]
}

# wait_for COMMAND…: until it succeeds, the server has died, or half a minute has passed
wait_for() {
	for _ in $(seq 3000); do
		if "$@" 2>/dev/null; then return 0; fi
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.01
	done
	say "the server did not come up:"
	tail -n 20 "$work/server.log" >&2 || true
	return 1
}

have_continuo() {
	"$go" build -o "$binary" ./cmd/continuo
	"$binary" serve --help >/dev/null 2>&1 || { say "continuo has no serve command yet: peers only"; return 1; }
}
start_continuo() {
	"${on_server[@]}" "$binary" serve --listen "127.0.0.1:$port" --data "$work/data" >"$work/server.log" 2>&1 &
	pid=$!
	wait_for answers "$port" /ready
}

nginx_module=/usr/lib/nginx/modules/ngx_nchan_module.so
have_nchan() {
	if ! [ -e "$nginx_module" ] || ! command -v nginx >/dev/null; then
		if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
			say "installing nginx with nchan"
			apt-get install -y -q --no-install-recommends nginx libnginx-mod-nchan >"$work/apt.log" 2>&1 ||
				{ apt-get update -q && apt-get install -y -q --no-install-recommends nginx libnginx-mod-nchan; } >>"$work/apt.log" 2>&1 || true
		fi
	fi
	[ -e "$nginx_module" ] || { say "no nchan here (Debian: apt-get install nginx libnginx-mod-nchan): left out"; return 1; }
}
start_nchan() {
	mkdir -p "$work/nginx"
	cat >"$work/nginx/nginx.conf" <<-CONF
		load_module $nginx_module;
		daemon off;
		worker_processes 1;
		pid $work/nginx/pid;
		error_log $work/nginx/error.log warn;
		events { worker_connections 40000; }
		http {
		  access_log off;
		  keepalive_requests 1000000000;
		  client_body_temp_path $work/nginx/body;
		  proxy_temp_path $work/nginx/proxy;
		  fastcgi_temp_path $work/nginx/fastcgi;
		  uwsgi_temp_path $work/nginx/uwsgi;
		  scgi_temp_path $work/nginx/scgi;
		  nchan_shared_memory_size 512M;
		  nchan_message_buffer_length 10000;
		  nchan_message_timeout 10m;
		  server {
		    listen 127.0.0.1:$port backlog=4096;
		    location ~ ^/pub/([\w.-]+)\$ { nchan_publisher; nchan_channel_id \$1; }
		    location ~ ^/sub/([\w.-]+)\$ {
		      nchan_subscriber;
		      nchan_channel_id \$1;
		      nchan_subscriber_first_message newest;
		      nchan_subscriber_last_message_id \$arg_last_event_id;
		    }
		  }
		}
	CONF
	"${on_server[@]}" nginx -p "$work/nginx" -c "$work/nginx/nginx.conf" >"$work/server.log" 2>&1 &
	pid=$!
	wait_for listening "$port"
}

have_nats() {
	"$go" build -C scripts/peers -o "$work/nats-server" github.com/nats-io/nats-server/v2 ||
		{ say "the NATS server cannot be built: left out"; return 1; }
}
start_nats() {
	cat >"$work/nats.conf" <<-CONF
		listen: "127.0.0.1:$((port + 1))"
		websocket { listen: "127.0.0.1:$port", no_tls: true, compression: false }
	CONF
	"${on_server[@]}" "$work/nats-server" -c "$work/nats.conf" >"$work/server.log" 2>&1 &
	pid=$!
	wait_for listening "$port"
}

storage_of() {
	case $1 in
	continuo) echo "on disk, fsynced before the answer" ;;
	nchan) echo "in memory, with history" ;;
	nats) echo "no history; answered means received" ;;
	esac
}
protocol_of() {
	case $1/$2 in
	continuo/storm) echo sockudo ;;
	continuo/*) echo pusher ;;
	*) echo "$1" ;;
	esac
}
applies() {
	case $2/$1 in
	storm/nats) return 1 ;; # has no history to recover from
	streams/*) [ "$1" = continuo ] ;;
	esac
}

# load SERVER CASE NAME ARGUMENTS…: one run against the running server
load() {
	local server=$1 case=$2 name=$3
	shift 3
	say "$server: $name"
	"${on_client[@]}" "$binary" bench "$@" --json --url "http://127.0.0.1:$port" --protocol "$(protocol_of "$server" "$case")" \
		--server-pid "$pid" --name "$server" --case "$name" --storage "$(storage_of "$server")" \
		>>"$results" 2>"$work/client.log" || { tail -n 3 "$work/client.log" >&2; return 1; }
}

# restart_time: how long a server with a million streams takes until it is ready
restart_time() {
	stop
	local begin now rss
	begin=$(date +%s%N)
	start_continuo
	now=$(date +%s%N)
	rss=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
	printf '{"target":"continuo","case":"start with 1,000,000 streams","protocol":"","settings":[],"figures":[%s,%s]}\n' \
		"{\"name\":\"time until ready\",\"value\":$(((now - begin) / 1000000)),\"unit\":\"ms\",\"better\":\"less\"}" \
		"{\"name\":\"server RSS\",\"value\":$((rss / 1024)),\"unit\":\"MiB\",\"better\":\"less\"}" >>"$results"
}

run_case() {
	local server=$1 case=$2 d=(--duration "${seconds}s")
	case $case in
	idle) load "$server" "$case" "idle connections, one channel" idle --connections 10000 --channels 1 ;;
	idle-own) load "$server" "$case" "idle connections, a channel each" idle --connections 10000 --channels 10000 ;;
	fanout) load "$server" "$case" "fan-out 1 x 1,000 at 50/s" fanout --subscribers 1000 --rate 50 "${d[@]}" ;;
	loaded)
		# NATS joins what comes over one connection; over HTTP each message under way needs a connection of its own.
		local publishers=16
		[ "$server" = nats ] && publishers=1
		load "$server" "$case" "fan-out 1 x 1,000 loaded, 16 in flight" loaded --subscribers 1000 --in-flight 16 \
			--publishers "$publishers" "${d[@]}"
		;;
	channels) load "$server" "$case" "1,000 channels x 5 at 2,000/s" channels --channels 1000 --subscribers 5 --rate 2000 "${d[@]}" ;;
	publish16) load "$server" "$case" "publish, 16 connections" publish --connections 16 --channels 100 "${d[@]}" ;;
	publish1) load "$server" "$case" "publish, one connection" publish --connections 1 --channels 1 "${d[@]}" ;;
	storm) load "$server" "$case" "1,000 clients reconnect and recover 100 each" storm --clients 1000 --missed 100 ;;
	churn) load "$server" "$case" "join and leave, 16 at a time" churn --workers 16 "${d[@]}" ;;
	streams)
		load "$server" "$case" "1,000,000 streams written once" publish --connections 16 --channels 1000000 --count 1000000 --duration 300s &&
			restart_time
		;;
	*) say "unknown case $case"; exit 2 ;;
	esac
}

present=
for server in $servers; do
	if "have_$server"; then present="$present $server"; fi
done
[ -e "$binary" ] || "$go" build -o "$binary" ./cmd/continuo

failed=0
"$binary" bench disk "$work" --json >>"$results"
for round in $(seq "$rounds"); do
	for case in $cases; do
		for server in $present; do
			applies "$server" "$case" || continue
			rm -rf "$work/data" "$work/nginx"
			"start_$server"
			run_case "$server" "$case" || { say "$server: $case failed (round $round)"; failed=1; }
			stop
		done
	done
done

printf '%s, %s cores, %s, %s, %s\n\n' "$(awk -F ': ' '/^model name/ {print $2; exit}' /proc/cpuinfo)" "$(nproc)" \
	"$(uname -sr)" "$("$go" version | awk '{print $3}')" "$(date -u +%Y-%m-%d)"
"$binary" bench compare "$results"
exit "$failed"
