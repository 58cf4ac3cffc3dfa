#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Bounded model checking of the virtqueues, of guest memory's ranges and of rate limits: each function prove_* of tests/proof is a proof, with the bounds below. Besides the named
# properties CBMC checks pointers, bounds and overflows, and that the loops end within the bounds. Uses the machine's cbmc, or Debian 13's.
#   tools/proof.sh
set -eu
cd "$(dirname "$0")/.."
cbmc=$(command -v cbmc || tools/lab/fetch.sh debian13-cbmc)
queue="src/virtio/queue/virtq.c src/virtio/queue/virtq_walk.c src/virtio/queue/virtq_split.c src/virtio/queue/virtq_packed.c"
bookkeeping="src/virtio/queue/virtq.c src/virtio/queue/virtq_split.c src/virtio/queue/virtq_packed.c"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# FILE OF PROOFS, BOUND OF LOOPS, FUNCTION, SOURCES
prove() {
	# shellcheck disable=SC2086 # a list of files
	"$cbmc" --c11 -D_GNU_SOURCE -Isrc -Itests/proof --unwinding-assertions --slice-formula --object-bits 10 --unwind "$2" \
		--function "$3" "tests/proof/$1.c" $4 >"$log" 2>&1 || {
		grep -E 'FAILURE|rror:' "$log" || tail -5 "$log"
		echo "$3: not proved" >&2
		exit 1
	}
	echo "$3: $(grep -E '^\*\* [0-9]' "$log")"
}

prove prove_ring 4 prove_positions "$queue"
prove prove_ring 4 prove_events "$queue"
# One step more than a ring of 3 has descriptors, and one to see that there is no further.
prove prove_walk 6 prove_walk_split "$queue"
prove prove_walk 6 prove_walk_packed "$queue"
# Four steps, and one to see that there is no further.
for kind in split split_in_order packed packed_in_order; do
	prove prove_queue 5 prove_bookkeeping_$kind "$bookkeeping"
done
for what in add contains_wrapped span window contains iov copies; do
	prove prove_ram 5 prove_ram_$what ""
done
for what in wait charge cost; do
	prove prove_rate_limit 3 prove_rate_limit_$what src/base/rate_limit.c
done
