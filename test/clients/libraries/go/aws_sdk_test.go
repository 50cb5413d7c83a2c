package libraries

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// The SDK's defaults: a CRC of each part in the trailer, checked again at the download.
func TestTransferManagerWithDefaultChecksums(t *testing.T) {
	ctx, client := context.Background(), newClient(t)
	bucket := newBucket(t, client, false)
	body := make([]byte, 40<<20+13)
	if _, err := rand.Read(body); err != nil {
		t.Fatal(err)
	}
	_, err := manager.NewUploader(client).Upload(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("a/large one"), Body: bytes.NewReader(body),
	})
	if err != nil {
		t.Fatal(err)
	}
	back := manager.NewWriteAtBuffer(make([]byte, 0, len(body)))
	_, err = manager.NewDownloader(client).Download(ctx, back, &s3.GetObjectInput{
		Bucket: &bucket, Key: aws.String("a/large one"), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(body, back.Bytes()) {
		t.Fatal("other bytes came back")
	}
}

func put(t *testing.T, client *s3.Client, input *s3.PutObjectInput, body string) *s3.PutObjectOutput {
	t.Helper()
	input.Body = bytes.NewReader([]byte(body))
	output, err := client.PutObject(context.Background(), input)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

func expectBody(t *testing.T, client *s3.Client, input *s3.GetObjectInput, expected string) {
	t.Helper()
	output, err := client.GetObject(context.Background(), input)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Body.Close()
	body, err := io.ReadAll(output.Body)
	if err != nil || string(body) != expected {
		t.Fatalf("%q came back, not %q (%v)", body, expected, err)
	}
}

func expectCode(t *testing.T, err error, code string) {
	t.Helper()
	var answer smithy.APIError
	if !errors.As(err, &answer) || answer.ErrorCode() != code {
		t.Fatalf("%v, not %s", err, code)
	}
}

func TestVersions(t *testing.T) {
	ctx, client := context.Background(), newClient(t)
	bucket, key := newBucket(t, client, false), aws.String("key")
	_, err := client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket:                  &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	first := put(t, client, &s3.PutObjectInput{Bucket: &bucket, Key: key}, "first")
	put(t, client, &s3.PutObjectInput{Bucket: &bucket, Key: key}, "second")
	marker, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: key})
	if err != nil || !aws.ToBool(marker.DeleteMarker) {
		t.Fatal("no delete marker", err)
	}
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: key})
	expectCode(t, err, "NoSuchKey")
	expectBody(t, client, &s3.GetObjectInput{Bucket: &bucket, Key: key, VersionId: first.VersionId}, "first")
	listed, err := client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &bucket})
	if err != nil || len(listed.Versions) != 2 || len(listed.DeleteMarkers) != 1 {
		t.Fatal(listed, err)
	}
	_, err = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: key, VersionId: marker.VersionId})
	if err != nil {
		t.Fatal(err)
	}
	expectBody(t, client, &s3.GetObjectInput{Bucket: &bucket, Key: key}, "second")
}

func TestObjectLock(t *testing.T) {
	ctx, client := context.Background(), newClient(t)
	bucket, key := newBucket(t, client, true), aws.String("kept")
	version := put(t, client, &s3.PutObjectInput{
		Bucket: &bucket, Key: key,
		ObjectLockMode:            types.ObjectLockModeCompliance,
		ObjectLockRetainUntilDate: aws.Time(time.Now().Add(time.Hour)),
	}, "kept")
	_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{
		Bucket: &bucket, Key: key, VersionId: version.VersionId, BypassGovernanceRetention: aws.Bool(true),
	})
	expectCode(t, err, "AccessDenied")
	expectBody(t, client, &s3.GetObjectInput{Bucket: &bucket, Key: key, VersionId: version.VersionId}, "kept")
}

func TestServerSideEncryption(t *testing.T) {
	ctx, client := context.Background(), newClient(t)
	bucket, key := newBucket(t, client, false), aws.String("sealed")
	written := put(t, client, &s3.PutObjectInput{
		Bucket: &bucket, Key: key, ServerSideEncryption: types.ServerSideEncryptionAes256,
	}, "sealed")
	head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: key})
	if err != nil || written.ServerSideEncryption != types.ServerSideEncryptionAes256 ||
		head.ServerSideEncryption != types.ServerSideEncryptionAes256 {
		t.Fatal("the answers do not say that it is encrypted", err)
	}
	expectBody(t, client, &s3.GetObjectInput{Bucket: &bucket, Key: key}, "sealed")
}

// A lock file as Terraform makes it: of two that race, one has it.
func TestConditionalWriteRace(t *testing.T) {
	ctx, client := context.Background(), newClient(t)
	bucket := newBucket(t, client, false)
	const racers = 8
	outcomes := make(chan error, racers)
	for range racers {
		go func() {
			_, err := client.PutObject(ctx, &s3.PutObjectInput{
				Bucket: &bucket, Key: aws.String("state.tflock"), IfNoneMatch: aws.String("*"),
				Body: bytes.NewReader([]byte("mine")),
			})
			outcomes <- err
		}()
	}
	winners := 0
	for range racers {
		if err := <-outcomes; err == nil {
			winners++
		} else {
			var answer smithy.APIError
			if !errors.As(err, &answer) ||
				(answer.ErrorCode() != "PreconditionFailed" && answer.ErrorCode() != "ConditionalRequestConflict") {
				t.Fatal(err)
			}
		}
	}
	if winners != 1 {
		t.Fatalf("%d of %d won", winners, racers)
	}
}
