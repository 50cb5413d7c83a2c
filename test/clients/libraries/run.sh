#!/usr/bin/env bash
# The S3 libraries behind well-known programs do their real job: see README.md.
# usage: run.sh ENDPOINT ACCESS_KEY SECRET_KEY [NAME...]     (NAME: those to run; without one, all)
# Each gets its packages from its own registry into a temporary folder and makes buckets of its own, which it leaves.
# What cannot be set up (no interpreter, no compiler) is named and counts as a failure if it was asked for.
set -uo pipefail
[ $# -ge 3 ] || { sed -n 2,6p "$0"; exit 2; }
export ENDPOINT=$1 ACCESS_KEY=$2 SECRET_KEY=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset AWS_PROFILE AWS_ENDPOINT_URL AWS_CA_BUNDLE

set_up_python() { python3 -m venv "$scratch/python" && "$scratch/python/bin/pip" -q install -r "$here/python/requirements.txt"; }
set_up_javascript() { cp -r "$here/javascript" "$scratch/javascript" && (cd "$scratch/javascript" && npm ci --silent --no-audit --no-fund); }
set_up_go() { (cd "$here/go" && go test -c -o "$scratch/go.test" .); }
set_up_java() { cp -r "$here/java" "$scratch/java" && (cd "$scratch/java" && mvn -q -B compile dependency:copy-dependencies -DoutputDirectory=target/jars); }
set_up_terraform() { terraform version >/dev/null; }

python() { (cd "$here/python" && PYTHONDONTWRITEBYTECODE=1 timeout 300 "$scratch/python/bin/python" "$1"); }
javascript() { (cd "$scratch/javascript" && timeout 300 node "$1"); }
go_test() { timeout 900 "$scratch/go.test" -test.timeout 900s -test.failfast -test.run "^($1)\$"; }
java_main() { (cd "$scratch/java" && timeout 300 java -cp 'target/classes:target/jars/*' "$1"); }

# name | language | command
programs=(
  'minio-js|javascript|javascript minio-js.mjs'
  'minio-py|python|python minio_py.py'
  'boto3-backup|python|python backup_boto3.py'
  'polars|python|python parquet_polars.py'
  'delta-lake|python|python delta_lake.py'
  'aws-sdk-go|go|go_test TestTransferManagerWithDefaultChecksums|TestVersions|TestObjectLock|TestServerSideEncryption|TestConditionalWriteRace'
  'thanos-objstore|go|go_test TestThanosObjstore'
  'distribution|go|go_test TestDistributionDriver'
  'aws-sdk-java|java|java_main JavaSdk'
  'terraform|terraform|bash terraform/race.sh'
)

passed=0 failed=0
declare -A is_set_up
cd "$here" || exit 1
for program in "${programs[@]}"; do
  IFS='|' read -r name language command <<<"$program"
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  if [ -z "${is_set_up[$language]:-}" ]; then
    if "set_up_$language" >"$scratch/log" 2>&1; then is_set_up[$language]=yes; else is_set_up[$language]=no; fi
  fi
  read -r -a words <<<"$command"
  if [ "${is_set_up[$language]}" = yes ] && "${words[@]}" >"$scratch/log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    tail -n 15 "$scratch/log" | sed 's/^/        /'
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
