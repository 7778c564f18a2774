#!/bin/sh
# What the witness test asks of a client, done with ndoo: for 'mesh-sim witness start --run'.
set -eu
export NDOO_URL="$WITNESS_URL" NDOO_MAILBOX="$WITNESS_MAILBOX"
export NDOO_DATA="${NDOO_DATA:-witness-ndoo}"   # remembers the handshake: one a day

send() {
  ndoo mailbox handshake --if-due
  ndoo mailbox send "$WITNESS_FILE" --to "$WITNESS_TO" --workflow "$WITNESS_WORKFLOW" "$@"
  ndoo mailbox list                             # straight after a send
}

case "$WITNESS_ACTION" in
  send | send-chunked) send ;;                  # in chunks of 75 MB, where there is more than that
  send-compressed) send --compress ;;
  collect) ndoo mailbox collect -o received ;;
  download) ndoo mailbox read "$WITNESS_MESSAGE_ID" -o "received-$WITNESS_CASE.dat" --acknowledge ;;
  *) echo "this client does not know $WITNESS_ACTION" >&2; exit 2 ;;
esac
