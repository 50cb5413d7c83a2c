#!/usr/bin/env bash
# The basic round trip through every S3 client that is installed: aws (v1, v2), rclone, s3cmd, restic, mc, s5cmd, curl.
# usage: round-trip.sh ENDPOINT ACCESS_KEY SECRET_KEY [TREE]     (TREE: a folder to sync up and back)
# Each client makes its own bucket and compares what comes back; a client that is missing is named and skipped.
# AWS1 and AWS2 may name the two aws cli binaries; CA_BUNDLE a certificate to trust for https endpoints.
set -uo pipefail
[ $# -ge 3 ] || { sed -n 2,6p "$0"; exit 2; }
endpoint=$1 access=$2 secret=$3 tree=${4:-}
host=${endpoint#*://} secure=${endpoint%%://*}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch AWS_ACCESS_KEY_ID=$access AWS_SECRET_ACCESS_KEY=$secret AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true AWS_PAGER=
unset AWS_PROFILE AWS_ENDPOINT_URL AWS_CA_BUNDLE
if [ -z "$tree" ]; then
  tree=$scratch/tree
  mkdir -p "$tree/deep/er" "$tree/a.dir"
  printf 'x' >"$tree/a.dir/x"
  for n in $(seq 1 60); do head -c $((n * 997)) /dev/urandom >"$tree/deep/file $n"; done
  printf 'plus' >"$tree/deep/er/a+b c%20d"
  printf 'unicode' >"$tree/deep/er/grün-日本"
  : >"$tree/empty"
fi
head -c 20971521 /dev/urandom >"$scratch/large"
passed=0 failed=0
result() { # NAME STATUS
  if [ "$2" -eq 0 ]; then passed=$((passed + 1)); echo "ok      $1"; else
    failed=$((failed + 1))
    echo "FAILED  $1"
    sed 's/^/        /' "$scratch/log" | tail -n 15
  fi
}
run() { # NAME FUNCTION
  ( set -e; "$2" ) >"$scratch/log" 2>&1
  result "$1" $?
}

# Only for those that read it: rclone refuses to run with it.
aws_trust() { if [ -n "${CA_BUNDLE:-}" ]; then export AWS_CA_BUNDLE=$CA_BUNDLE; fi; }
if [ -n "${CA_BUNDLE:-}" ]; then export SSL_CERT_FILE=$CA_BUNDLE CURL_CA_BUNDLE=$CA_BUNDLE; fi
aws_round_trip() {
  aws_trust # uses $aws and $bucket
  local s3=("$aws" --endpoint-url "$endpoint" s3) api=("$aws" --endpoint-url "$endpoint" s3api) back=$scratch/back-$bucket
  "${s3[@]}" mb "s3://$bucket"
  "${s3[@]}" cp --quiet "$scratch/large" "s3://$bucket/large"
  "${s3[@]}" sync --quiet "$tree" "s3://$bucket/tree"
  "${s3[@]}" ls --recursive "s3://$bucket/tree" | wc -l
  "${s3[@]}" sync --quiet "s3://$bucket/tree" "$back"
  diff -r "$tree" "$back"
  "${s3[@]}" cp --quiet "s3://$bucket/large" "$scratch/large.back"
  cmp "$scratch/large" "$scratch/large.back"
  "${api[@]}" get-object --bucket "$bucket" --key large --range bytes=1000000-1000099 "$scratch/range" >/dev/null
  cmp <(tail -c +1000001 "$scratch/large" | head -c 100) "$scratch/range"
  "${api[@]}" copy-object --bucket "$bucket" --key copied --copy-source "$bucket/large" >/dev/null
  "${s3[@]}" cp --quiet "s3://$bucket/copied" - | cmp - "$scratch/large"
  curl -sSf "$("${s3[@]}" presign "s3://$bucket/copied")" | cmp - "$scratch/large"
  "${api[@]}" put-object --bucket "$bucket" --key put --body "$scratch/range" >/dev/null
  if "${api[@]}" put-object --bucket "$bucket" --key put --body "$scratch/range" --if-none-match '*' >"$scratch/conditional" 2>&1; then
    echo 'a conditional put overwrote'
    return 1
  fi
  # An aws cli that does not know the flag yet cannot send the condition.
  grep -Eq 'PreconditionFailed|Unknown options' "$scratch/conditional"
  "${s3[@]}" rm --quiet --recursive "s3://$bucket"
  "${s3[@]}" rb "s3://$bucket"
  rm -rf "$back" "$scratch/large.back"
}
aws_one() { aws=$AWS1 bucket=aws-one-$$; aws_round_trip; }
aws_two() { aws=$AWS2 bucket=aws-two-$$; aws_round_trip; }

rclone_round_trip() {
  export RCLONE_CONFIG=$scratch/rclone.conf
  cat >"$RCLONE_CONFIG" <<CONF
[h]
type = s3
provider = Other
access_key_id = $access
secret_access_key = $secret
endpoint = $endpoint
region = us-east-1
CONF
  rclone mkdir h:rclone-$$
  rclone sync "$tree" h:rclone-$$/tree
  rclone copy "$scratch/large" h:rclone-$$/ --s3-chunk-size 5M --s3-upload-cutoff 5M
  rclone check "$tree" h:rclone-$$/tree --download
  rclone copyto h:rclone-$$/large h:rclone-$$/copied
  rclone cat h:rclone-$$/copied | cmp - "$scratch/large"
  rclone sync h:rclone-$$/tree "$scratch/rclone-back"
  diff -r "$tree" "$scratch/rclone-back"
  rclone purge h:rclone-$$
}

s3cmd_round_trip() {
  local s3=(s3cmd -c /dev/null --access_key="$access" --secret_key="$secret" --host="$host" --host-bucket="$host" --region=us-east-1)
  if [ "$secure" = https ]; then s3+=(--ssl --ca-certs="${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}"); else s3+=(--no-ssl); fi
  "${s3[@]}" mb s3://s3cmd-$$
  "${s3[@]}" sync "$tree/" s3://s3cmd-$$/tree/
  "${s3[@]}" put --multipart-chunk-size-mb=5 "$scratch/large" s3://s3cmd-$$/large
  "${s3[@]}" info s3://s3cmd-$$
  "${s3[@]}" info s3://s3cmd-$$/large
  "${s3[@]}" get s3://s3cmd-$$/large "$scratch/s3cmd-large"
  cmp "$scratch/large" "$scratch/s3cmd-large"
  mkdir "$scratch/s3cmd-back"
  "${s3[@]}" sync s3://s3cmd-$$/tree/ "$scratch/s3cmd-back/"
  diff -r "$tree" "$scratch/s3cmd-back"
  "${s3[@]}" cp s3://s3cmd-$$/large s3://s3cmd-$$/copied
  "${s3[@]}" rb --recursive --force s3://s3cmd-$$
}

restic_round_trip() {
  export RESTIC_REPOSITORY=s3:$endpoint/restic-$$/repo RESTIC_PASSWORD=word
  local tls=()
  [ -n "${CA_BUNDLE:-}" ] && tls=(--cacert "$CA_BUNDLE")
  restic "${tls[@]}" init
  restic "${tls[@]}" backup "$tree" "$scratch/large"
  restic "${tls[@]}" check --read-data
  restic "${tls[@]}" restore latest --target "$scratch/restic"
  diff -r "$tree" "$scratch/restic/$tree"
  cmp "$scratch/large" "$scratch/restic/$scratch/large"
  restic "${tls[@]}" forget --keep-last 1 --prune
}

mc_round_trip() {
  export MC_CONFIG_DIR=$scratch/mc
  mc alias set h "$endpoint" "$access" "$secret"
  mc mb h/mc-$$
  mc cp "$scratch/large" h/mc-$$/large
  mc cat h/mc-$$/large | cmp - "$scratch/large"
  mc mirror "$tree" h/mc-$$/tree
  mc mirror h/mc-$$/tree "$scratch/mc-back"
  diff -r "$tree" "$scratch/mc-back"
  mc stat h/mc-$$/large
  mc ls --recursive h/mc-$$ | wc -l
  mc rm --recursive --force h/mc-$$
  mc rb h/mc-$$
}

s5cmd_round_trip() {
  aws_trust
  local s5=(s5cmd --endpoint-url "$endpoint")
  "${s5[@]}" mb s3://s5cmd-$$
  "${s5[@]}" cp --part-size 5 "$scratch/large" s3://s5cmd-$$/large
  "${s5[@]}" cp "$tree/*" s3://s5cmd-$$/tree/
  "${s5[@]}" cp "s3://s5cmd-$$/large" "$scratch/s5cmd-large"
  cmp "$scratch/large" "$scratch/s5cmd-large"
  "${s5[@]}" ls "s3://s5cmd-$$/*" | wc -l
  "${s5[@]}" cp "s3://s5cmd-$$/tree/*" "$scratch/s5cmd-back/"
  diff -r "$tree" "$scratch/s5cmd-back"
  "${s5[@]}" rm "s3://s5cmd-$$/*"
  "${s5[@]}" rb s3://s5cmd-$$
}

version() { "$@" 2>&1 | head -n 1; }
for candidate in ${AWS1:-} ${AWS2:-} $(type -ap aws); do
  case $(version "$candidate" --version) in
    aws-cli/1*) AWS1=${AWS1:-$candidate} ;;
    aws-cli/2*) AWS2=${AWS2:-$candidate} ;;
  esac
done
if [ -n "${AWS1:-}" ]; then run "$(version "$AWS1" --version)" aws_one; else echo 'missing aws cli version 1'; fi
if [ -n "${AWS2:-}" ]; then run "$(version "$AWS2" --version)" aws_two; else echo 'missing aws cli version 2'; fi
for client in rclone s3cmd restic mc s5cmd; do
  if ! command -v "$client" >/dev/null; then echo "missing $client"; continue; fi
  case $client in
    restic | s5cmd) name="$(version "$client" version)" ;;
    *) name="$(version "$client" --version)" ;;
  esac
  run "$client: $name" "${client}_round_trip"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
