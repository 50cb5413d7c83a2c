// Package libraries runs the S3 libraries of well-known Go programs against the server that ENDPOINT, ACCESS_KEY and
// SECRET_KEY of the environment name: `../run.sh` sets them.
package libraries

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func endpoint(t *testing.T) *url.URL {
	t.Helper()
	parsed, err := url.Parse(os.Getenv("ENDPOINT"))
	if err != nil || parsed.Host == "" {
		t.Fatal("ENDPOINT, ACCESS_KEY and SECRET_KEY are needed")
	}
	return parsed
}

func newClient(t *testing.T) *s3.Client {
	t.Helper()
	// The checksums are what a loaded configuration has by default.
	return s3.New(s3.Options{
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		Region:                     "us-east-1",
		BaseEndpoint:               aws.String(endpoint(t).String()),
		UsePathStyle:               true,
		Credentials:                credentials.NewStaticCredentialsProvider(os.Getenv("ACCESS_KEY"), os.Getenv("SECRET_KEY"), ""),
	})
}

// newBucket makes a bucket of its own for the test. It is left with what is in it: locked versions cannot go.
func newBucket(t *testing.T, client *s3.Client, withLock bool) string {
	t.Helper()
	suffix := make([]byte, 6)
	if _, err := rand.Read(suffix); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("go-%x", suffix)
	_, err := client.CreateBucket(context.Background(), &s3.CreateBucketInput{
		Bucket:                     aws.String(name),
		ObjectLockEnabledForBucket: aws.Bool(withLock),
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}
