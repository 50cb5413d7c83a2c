#!/usr/bin/env bash
# Versions, object lock, tags, lifecycle and encryption through every S3 client that is installed: aws (v1, v2), rclone,
# s3cmd, restic, mc, s5cmd; each does what it knows of them.
# usage: data-features.sh ENDPOINT ACCESS_KEY SECRET_KEY
# Each client makes its own buckets, and leaves them: locked versions cannot go. A client that is missing is named.
# AWS1 and AWS2 may name the two aws cli binaries.
set -uo pipefail
[ $# -ge 3 ] || { sed -n 2,6p "$0"; exit 2; }
endpoint=$1 access=$2 secret=$3
host=${endpoint#*://} secure=${endpoint%%://*}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch AWS_ACCESS_KEY_ID=$access AWS_SECRET_ACCESS_KEY=$secret AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true AWS_PAGER=
unset AWS_PROFILE AWS_ENDPOINT_URL AWS_CA_BUNDLE
head -c 12582917 /dev/urandom >"$scratch/large"
printf 'first' >"$scratch/first"
printf 'second' >"$scratch/second"
passed=0 failed=0
run() { # NAME FUNCTION
  # Not within an if: there set -e does not hold.
  ( set -e; "$2" ) >"$scratch/log" 2>&1
  if [ $? -eq 0 ]; then
    passed=$((passed + 1))
    echo "ok      $1"
  else
    failed=$((failed + 1))
    echo "FAILED  $1"
    tail -n 15 "$scratch/log" | sed 's/^/        /'
  fi
}
refused() { # CODE COMMAND...: the command fails, and says this code
  local code=$1
  shift
  if "$@" >"$scratch/refused" 2>&1; then echo "not refused: $*"; return 1; fi
  grep -q "$code" "$scratch/refused" || { cat "$scratch/refused"; return 1; }
}
is() { [ "$1" = "$2" ] || { echo "'$1', not '$2'"; return 1; }; }

aws_features() {
  local api=("$aws" --endpoint-url "$endpoint" s3api --output text) s3=("$aws" --endpoint-url "$endpoint" s3)
  local first marker kept until key md5
  # versions
  "${api[@]}" create-bucket --bucket "$bucket-v"
  "${api[@]}" put-bucket-versioning --bucket "$bucket-v" --versioning-configuration Status=Enabled
  is "$("${api[@]}" get-bucket-versioning --bucket "$bucket-v" --query Status)" Enabled
  first=$("${api[@]}" put-object --bucket "$bucket-v" --key key --body "$scratch/first" --query VersionId)
  "${api[@]}" put-object --bucket "$bucket-v" --key key --body "$scratch/second"
  marker=$("${api[@]}" delete-object --bucket "$bucket-v" --key key --query VersionId)
  refused 404 "${api[@]}" head-object --bucket "$bucket-v" --key key
  is "$("${api[@]}" list-object-versions --bucket "$bucket-v" --query 'length(Versions)')" 2
  "${api[@]}" get-object --bucket "$bucket-v" --key key --version-id "$first" "$scratch/back"
  cmp "$scratch/first" "$scratch/back"
  "${api[@]}" copy-object --bucket "$bucket-v" --key restored --copy-source "$bucket-v/key?versionId=$first"
  "${s3[@]}" cp --quiet "s3://$bucket-v/restored" - | cmp - "$scratch/first"
  "${api[@]}" delete-object --bucket "$bucket-v" --key key --version-id "$marker"
  "${s3[@]}" cp --quiet "s3://$bucket-v/key" - | cmp - "$scratch/second"
  # tags
  "${api[@]}" put-object-tagging --bucket "$bucket-v" --key key --tagging 'TagSet=[{Key=kind,Value=second}]'
  is "$("${api[@]}" get-object-tagging --bucket "$bucket-v" --key key --query 'TagSet[0].Value')" second
  "${api[@]}" put-bucket-tagging --bucket "$bucket-v" --tagging 'TagSet=[{Key=owner,Value=me}]'
  is "$("${api[@]}" get-bucket-tagging --bucket "$bucket-v" --query 'TagSet[0].Value')" me
  # lifecycle
  "${api[@]}" put-bucket-lifecycle-configuration --bucket "$bucket-v" --lifecycle-configuration \
    '{"Rules":[{"ID":"old","Status":"Enabled","Filter":{"Prefix":"k"},"Expiration":{"Days":30},"NoncurrentVersionExpiration":{"NoncurrentDays":7}}]}'
  is "$("${api[@]}" get-bucket-lifecycle-configuration --bucket "$bucket-v" --query 'Rules[0].Expiration.Days')" 30
  "${api[@]}" head-object --bucket "$bucket-v" --key key --query Expiration | grep >/dev/null 'rule-id="old"'
  # object lock
  "${api[@]}" create-bucket --bucket "$bucket-l" --object-lock-enabled-for-bucket
  "${api[@]}" put-object-lock-configuration --bucket "$bucket-l" --object-lock-configuration \
    '{"ObjectLockEnabled":"Enabled","Rule":{"DefaultRetention":{"Mode":"GOVERNANCE","Days":1}}}'
  kept=$("${api[@]}" put-object --bucket "$bucket-l" --key kept --body "$scratch/first" --query VersionId)
  is "$("${api[@]}" get-object-retention --bucket "$bucket-l" --key kept --query Retention.Mode)" GOVERNANCE
  refused AccessDenied "${api[@]}" delete-object --bucket "$bucket-l" --key kept --version-id "$kept"
  until=$(date -u -d '+2 days' +%Y-%m-%dT%H:%M:%SZ)
  "${api[@]}" put-object-retention --bucket "$bucket-l" --key kept --retention "Mode=COMPLIANCE,RetainUntilDate=$until" --bypass-governance-retention
  refused AccessDenied "${api[@]}" delete-object --bucket "$bucket-l" --key kept --version-id "$kept" --bypass-governance-retention
  "${api[@]}" put-object-legal-hold --bucket "$bucket-l" --key kept --legal-hold Status=ON
  is "$("${api[@]}" get-object-legal-hold --bucket "$bucket-l" --key kept --query LegalHold.Status)" ON
  "${api[@]}" get-object --bucket "$bucket-l" --key kept --version-id "$kept" "$scratch/back"
  cmp "$scratch/first" "$scratch/back"
  # encryption
  "${api[@]}" create-bucket --bucket "$bucket-e"
  "${api[@]}" put-bucket-encryption --bucket "$bucket-e" --server-side-encryption-configuration \
    '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}'
  "${s3[@]}" cp --quiet "$scratch/large" "s3://$bucket-e/large"
  is "$("${api[@]}" head-object --bucket "$bucket-e" --key large --query ServerSideEncryption)" AES256
  "${s3[@]}" cp --quiet "s3://$bucket-e/large" - | cmp - "$scratch/large"
  # Keys of the customer travel in headers: only over TLS, or where the server was told to take them without.
  if [ -n "${SSE_C:-}" ]; then
    key=$(head -c 32 /dev/urandom | tee "$scratch/key" | base64)
    "${s3[@]}" cp --quiet --sse-c AES256 --sse-c-key "fileb://$scratch/key" "$scratch/large" "s3://$bucket-e/mine"
    "${s3[@]}" cp --quiet --sse-c AES256 --sse-c-key "fileb://$scratch/key" "s3://$bucket-e/mine" - | cmp - "$scratch/large"
    refused 400 "${api[@]}" head-object --bucket "$bucket-e" --key mine
  fi
}
aws_one() { aws=$AWS1 bucket=aws-one-$$; aws_features; }
aws_two() { aws=$AWS2 bucket=aws-two-$$; aws_features; }

rclone_features() {
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
  rclone mkdir "h:rclone-$$"
  curl -sSf --aws-sigv4 aws:amz:us-east-1:s3 --user "$access:$secret" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -X PUT \
    --data '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>' "$endpoint/rclone-$$?versioning="
  rclone copyto "$scratch/first" "h:rclone-$$/key.txt"
  sleep 1.1 # its names of versions are as fine as a second
  rclone copyto "$scratch/second" "h:rclone-$$/key.txt"
  is "$(rclone lsf "h:rclone-$$")" key.txt
  is "$(rclone --s3-versions lsf "h:rclone-$$" | wc -l)" 2
  rclone --s3-versions cat "h:rclone-$$/$(rclone --s3-versions lsf "h:rclone-$$" | grep -e '-v')" | cmp - "$scratch/first"
  rclone deletefile "h:rclone-$$/key.txt"
  is "$(rclone lsf "h:rclone-$$")" ''
  is "$(rclone --s3-versions lsf "h:rclone-$$" | wc -l)" 2
  rclone mkdir "h:rclone-sealed-$$"
  rclone --s3-server-side-encryption AES256 copy "$scratch/large" "h:rclone-sealed-$$/" --s3-chunk-size 5M --s3-upload-cutoff 5M
  rclone cat "h:rclone-sealed-$$/large" | cmp - "$scratch/large"
}

s3cmd_features() {
  local s3=(s3cmd -c /dev/null --access_key="$access" --secret_key="$secret" --host="$host" --host-bucket="$host" --region=us-east-1)
  if [ "$secure" = https ]; then s3+=(--ssl); else s3+=(--no-ssl); fi
  "${s3[@]}" mb "s3://s3cmd-$$"
  "${s3[@]}" put --server-side-encryption "$scratch/large" --multipart-chunk-size-mb=5 "s3://s3cmd-$$/large"
  "${s3[@]}" get "s3://s3cmd-$$/large" "$scratch/s3cmd-large"
  cmp "$scratch/large" "$scratch/s3cmd-large"
  "${s3[@]}" expire --expiry-days=30 --expiry-prefix=tmp/ "s3://s3cmd-$$"
  "${s3[@]}" getlifecycle "s3://s3cmd-$$" | grep >/dev/null 30
  if "${s3[@]}" --help | grep >/dev/null setversioning; then
    "${s3[@]}" setversioning "s3://s3cmd-$$" enable
    "${s3[@]}" put "$scratch/first" "s3://s3cmd-$$/key"
    "${s3[@]}" put "$scratch/second" "s3://s3cmd-$$/key"
    "${s3[@]}" info "s3://s3cmd-$$" | grep -i >/dev/null 'versioning.*enabled'
  fi
}

# It knows none of this itself: its repository lies in a bucket that is versioned, locked for a day and encrypted.
restic_features() {
  local aws=${AWS2:-$AWS1} bucket=restic-$$
  local api=("$aws" --endpoint-url "$endpoint" s3api --output text)
  "${api[@]}" create-bucket --bucket "$bucket" --object-lock-enabled-for-bucket
  "${api[@]}" put-object-lock-configuration --bucket "$bucket" --object-lock-configuration \
    '{"ObjectLockEnabled":"Enabled","Rule":{"DefaultRetention":{"Mode":"COMPLIANCE","Days":1}}}'
  "${api[@]}" put-bucket-encryption --bucket "$bucket" --server-side-encryption-configuration \
    '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}'
  export RESTIC_REPOSITORY=s3:$endpoint/$bucket/repo RESTIC_PASSWORD=word
  restic init
  restic backup "$scratch/large"
  restic backup "$scratch/large" "$scratch/first"
  restic forget --keep-last 1 --prune
  restic check --read-data
  restic restore latest --target "$scratch/restic"
  cmp "$scratch/large" "$scratch/restic/$scratch/large"
}

mc_features() {
  export MC_CONFIG_DIR=$scratch/mc
  mc alias set h "$endpoint" "$access" "$secret"
  mc mb "h/mc-$$"
  mc version enable "h/mc-$$"
  mc version info "h/mc-$$" | grep >/dev/null enabled
  mc cp "$scratch/first" "h/mc-$$/key"
  mc cp "$scratch/second" "h/mc-$$/key"
  is "$(mc ls --versions "h/mc-$$/key" | wc -l)" 2
  mc rm "h/mc-$$/key"
  mc undo --force --last 1 "h/mc-$$/key"
  mc cat "h/mc-$$/key" | cmp - "$scratch/second"
  mc tag set "h/mc-$$/key" kind=second
  mc tag list "h/mc-$$/key" | grep >/dev/null second
  mc ilm rule add --expire-days 30 --prefix tmp/ "h/mc-$$"
  mc ilm rule ls "h/mc-$$" | grep >/dev/null 30
  mc encrypt set sse-s3 "h/mc-$$"
  mc encrypt info "h/mc-$$" | grep -i >/dev/null 'sse-s3'
  mc cp "$scratch/large" "h/mc-$$/large"
  mc cat "h/mc-$$/large" | cmp - "$scratch/large"
  mc mb --with-lock "h/mc-lock-$$"
  mc retention set --default governance 1d "h/mc-lock-$$"
  mc cp "$scratch/first" "h/mc-lock-$$/kept"
  mc retention info "h/mc-lock-$$/kept" | grep -i >/dev/null governance
  mc legalhold set "h/mc-lock-$$/kept"
  mc legalhold info "h/mc-lock-$$/kept" | grep >/dev/null ON
}

s5cmd_features() {
  local s5=(s5cmd --endpoint-url "$endpoint") version
  "${s5[@]}" mb "s3://s5cmd-$$"
  "${s5[@]}" bucket-version --set Enabled "s3://s5cmd-$$"
  "${s5[@]}" bucket-version "s3://s5cmd-$$" | grep >/dev/null Enabled
  "${s5[@]}" cp "$scratch/first" "s3://s5cmd-$$/key"
  "${s5[@]}" cp "$scratch/second" "s3://s5cmd-$$/key"
  is "$("${s5[@]}" ls --all-versions "s3://s5cmd-$$/key" | wc -l)" 2
  version=$("${s5[@]}" ls --all-versions "s3://s5cmd-$$/key" | tail -n 1 | awk '{print $NF}')
  "${s5[@]}" cat --version-id "$version" "s3://s5cmd-$$/key" | cmp - "$scratch/first"
  "${s5[@]}" cp --sse AES256 --part-size 5 "$scratch/large" "s3://s5cmd-$$/large"
  "${s5[@]}" cat "s3://s5cmd-$$/large" | cmp - "$scratch/large"
  "${s5[@]}" rm --all-versions "s3://s5cmd-$$/*"
  "${s5[@]}" rb "s3://s5cmd-$$"
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
  run "$client: $name" "${client}_features"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
