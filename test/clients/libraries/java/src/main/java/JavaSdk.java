import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Random;
import java.util.UUID;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.BucketVersioningStatus;
import software.amazon.awssdk.services.s3.model.ChecksumMode;
import software.amazon.awssdk.services.s3.model.ObjectLockMode;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.ServerSideEncryption;
import software.amazon.awssdk.transfer.s3.S3TransferManager;

/** The AWS SDK for Java: default checksums, the transfer manager, versions, object lock and server-side encryption. */
public final class JavaSdk {
  private static final URI ENDPOINT = URI.create(System.getenv("ENDPOINT"));
  private static final StaticCredentialsProvider CREDENTIALS = StaticCredentialsProvider.create(
      AwsBasicCredentials.create(System.getenv("ACCESS_KEY"), System.getenv("SECRET_KEY")));

  public static void main(String[] arguments) throws Exception {
    try (S3Client client = S3Client.builder().endpointOverride(ENDPOINT).credentialsProvider(CREDENTIALS)
        .region(Region.US_EAST_1).forcePathStyle(true).build()) {
      transfer(client);
      versions(client);
      lock(client);
      encryption(client);
    }
  }

  private static String newBucket(S3Client client, boolean withLock) {
    String bucket = "java-" + UUID.randomUUID();
    client.createBucket(request -> request.bucket(bucket).objectLockEnabledForBucket(withLock));
    return bucket;
  }

  private static String read(S3Client client, String bucket, String key, String versionId) {
    return client.getObjectAsBytes(request -> request.bucket(bucket).key(key).versionId(versionId)
        .checksumMode(ChecksumMode.ENABLED)).asUtf8String();
  }

  private static void require(boolean holds, String claim) {
    if (!holds) throw new AssertionError(claim);
  }

  /** A file by parts, with the checksums that the SDK adds by itself, up and down. */
  private static void transfer(S3Client client) throws Exception {
    String bucket = newBucket(client, false);
    byte[] body = new byte[40 * 1024 * 1024 + 13];
    new Random(1).nextBytes(body);
    Path up = Files.createTempFile("up", null);
    Path down = Files.createTempFile("down", null);
    try (S3AsyncClient async = S3AsyncClient.builder().endpointOverride(ENDPOINT).credentialsProvider(CREDENTIALS)
            .region(Region.US_EAST_1).forcePathStyle(true).multipartEnabled(true).build();
        S3TransferManager manager = S3TransferManager.builder().s3Client(async).build()) {
      Files.write(up, body);
      manager.uploadFile(request -> request.source(up).putObjectRequest(put -> put.bucket(bucket).key("a/large one")))
          .completionFuture().join();
      manager.downloadFile(request -> request.destination(down)
          .getObjectRequest(get -> get.bucket(bucket).key("a/large one"))).completionFuture().join();
      require(Arrays.equals(body, Files.readAllBytes(down)), "other bytes came back");
    } finally {
      Files.deleteIfExists(up);
      Files.deleteIfExists(down);
    }
  }

  private static void versions(S3Client client) {
    String bucket = newBucket(client, false);
    client.putBucketVersioning(request -> request.bucket(bucket)
        .versioningConfiguration(versioning -> versioning.status(BucketVersioningStatus.ENABLED)));
    String first = client.putObject(request -> request.bucket(bucket).key("key"), RequestBody.fromString("first")).versionId();
    client.putObject(request -> request.bucket(bucket).key("key"), RequestBody.fromString("second"));
    String marker = client.deleteObject(request -> request.bucket(bucket).key("key")).versionId();
    require(read(client, bucket, "key", first).equals("first"), "the first version is gone");
    require(client.listObjectVersionsPaginator(request -> request.bucket(bucket).maxKeys(1)).versions().stream().count() == 2,
        "two versions");
    client.deleteObject(request -> request.bucket(bucket).key("key").versionId(marker));
    require(read(client, bucket, "key", null).equals("second"), "the second version is not back");
  }

  private static void lock(S3Client client) {
    String bucket = newBucket(client, true);
    String version = client.putObject(request -> request.bucket(bucket).key("kept")
        .objectLockMode(ObjectLockMode.COMPLIANCE)
        .objectLockRetainUntilDate(Instant.now().plus(Duration.ofHours(1))), RequestBody.fromString("kept")).versionId();
    try {
      client.deleteObject(request -> request.bucket(bucket).key("kept").versionId(version).bypassGovernanceRetention(true));
      throw new AssertionError("a locked version was removed");
    } catch (S3Exception error) {
      require(error.statusCode() == 403, error.toString());
    }
    require(read(client, bucket, "kept", version).equals("kept"), "the locked version is gone");
  }

  private static void encryption(S3Client client) {
    String bucket = newBucket(client, false);
    client.putObject(request -> request.bucket(bucket).key("sealed").serverSideEncryption(ServerSideEncryption.AES256),
        RequestBody.fromString("sealed"));
    require(client.headObject(request -> request.bucket(bucket).key("sealed")).serverSideEncryption()
        == ServerSideEncryption.AES256, "the answer does not say that it is encrypted");
    require(read(client, bucket, "sealed", null).equals("sealed"), "other bytes came back");
  }
}
