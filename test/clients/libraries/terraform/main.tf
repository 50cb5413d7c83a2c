# The state of a small plan in a bucket, with Terraform's own lock file (a conditional write) instead of DynamoDB.
terraform {
  backend "s3" {
    key                         = "stack/terraform.tfstate"
    region                      = "us-east-1"
    use_lockfile                = true
    use_path_style              = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
    skip_metadata_api_check     = true
  }
}

resource "terraform_data" "slow" {
  triggers_replace = timestamp()

  provisioner "local-exec" {
    command = "sleep 3"
  }
}
