package libraries

import (
	"context"
	"os"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	s3driver "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"
	"github.com/distribution/distribution/v3/registry/storage/driver/testsuites"
)

// The storage of the container registry (and of GitLab's): the driver's own test suite.
func TestDistributionDriver(t *testing.T) {
	at := endpoint(t)
	bucket := newBucket(t, newClient(t), false)
	testsuites.Driver(t, func() (storagedriver.StorageDriver, error) {
		return s3driver.FromParameters(context.Background(), map[string]any{
			"accesskey":      os.Getenv("ACCESS_KEY"),
			"secretkey":      os.Getenv("SECRET_KEY"),
			"region":         "us-east-1",
			"regionendpoint": at.String(),
			"forcepathstyle": true,
			"secure":         at.Scheme == "https",
			"bucket":         bucket,
			"rootdirectory":  "/registry",
			"chunksize":      5 << 20,
			// Copies by parts too: the suite's files are small.
			"multipartcopychunksize":     5 << 20,
			"multipartcopythresholdsize": 5 << 20,
		})
	}, true)
}
