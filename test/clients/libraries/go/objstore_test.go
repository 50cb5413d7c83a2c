package libraries

import (
	"os"
	"testing"

	"github.com/go-kit/log"
	"github.com/thanos-io/objstore"
	objstores3 "github.com/thanos-io/objstore/providers/s3"
)

// The storage of Thanos, Loki and Mimir: the library's own acceptance test.
func TestThanosObjstore(t *testing.T) {
	at := endpoint(t)
	bucket, err := objstores3.NewBucketWithConfig(log.NewNopLogger(), objstores3.Config{
		Bucket:    newBucket(t, newClient(t), false),
		Endpoint:  at.Host,
		Region:    "us-east-1",
		AccessKey: os.Getenv("ACCESS_KEY"),
		SecretKey: os.Getenv("SECRET_KEY"),
		Insecure:  at.Scheme == "http",
		PartSize:  5 << 20,
	}, "holdfast", nil)
	if err != nil {
		t.Fatal(err)
	}
	objstore.AcceptanceTest(t, bucket)
}
