#!/usr/bin/env bash
# Two terraform runs race for one state: one applies, the other is refused by the lock, and says so; afterwards it gets it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export AWS_ACCESS_KEY_ID=$ACCESS_KEY AWS_SECRET_ACCESS_KEY=$SECRET_KEY AWS_REGION=us-east-1 TF_IN_AUTOMATION=1 TF_DATA_DIR=$scratch/data CHECKPOINT_DISABLE=1
# An older curl does not send the header that S3 wants of every signed request.
signed() { curl -sS -o /dev/null --aws-sigv4 aws:amz:us-east-1:s3 --user "$ACCESS_KEY:$SECRET_KEY" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$@"; }
bucket=terraform-$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
signed -f -X PUT "$ENDPOINT/$bucket"
cp "$here/main.tf" "$scratch/"
cd "$scratch"
terraform init -input=false -backend-config="bucket=$bucket" -backend-config="endpoints={s3=\"$ENDPOINT\"}" >/dev/null
terraform apply -auto-approve -input=false >first.log 2>&1 &
first=$!
found=''
for _ in $(seq 100); do
  found=$(signed -w '%{http_code}' "$ENDPOINT/$bucket/stack/terraform.tfstate.tflock")
  [ "$found" = 200 ] && break
  sleep 0.1
done
[ "$found" = 200 ] || { echo 'no lock file was seen'; cat first.log; exit 1; }
if terraform apply -auto-approve -input=false >second.log 2>&1; then
  echo 'both had the lock'
  exit 1
fi
grep -q 'Error acquiring the state lock' second.log
wait "$first"
terraform apply -auto-approve -input=false >third.log 2>&1
terraform state list | grep -qx terraform_data.slow
