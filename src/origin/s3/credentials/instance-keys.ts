/**
 * Keys of an EC2 instance's role, from its metadata service (IMDSv2).
 *
 * Source: EC2 User Guide, "Use the Instance Metadata Service"; AWS SDKs and Tools Reference Guide, "IMDS credential
 * provider".
 */
import { isCacheError } from '../../../base/errors.ts'
import { type AwsKeys, type KeySource, keysInJson } from './aws-keys.ts'
import type { AwsEnvironment } from './environment-keys.ts'
import { askKeyService } from './key-service.ts'
import { metadataMsMax, metadataTokenSeconds } from './limits.ts'

const roles = '/latest/meta-data/iam/security-credentials/'

export class InstanceKeys implements KeySource {
  readonly name = 'the metadata service of the instance'
  readonly #environment: AwsEnvironment

  constructor(environment: AwsEnvironment) {
    this.#environment = environment
  }

  /** null where there is no such service, or the instance has no role. */
  async keys(): Promise<AwsKeys | null> {
    if (this.#environment.AWS_EC2_METADATA_DISABLED?.toLowerCase() === 'true') return null
    try {
      const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': String(metadataTokenSeconds) }
      const token = await this.#ask('PUT', '/latest/api/token', headers)
      const own = { 'x-aws-ec2-metadata-token': token.trim() }
      const role = (await this.#ask('GET', roles, own)).trim().split('\n')[0] ?? ''
      return keysInJson(await this.#ask('GET', roles + encodeURIComponent(role), own))
    } catch (error) {
      if (isCacheError(error, 'origin-unreachable', 'origin-timeout', 'access-denied')) return null
      throw error
    }
  }

  #ask(method: 'GET' | 'PUT', path: string, headers: Readonly<Record<string, string>>): Promise<string> {
    const { AWS_EC2_METADATA_SERVICE_ENDPOINT: said, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: mode } = this.#environment
    const usual = mode?.toLowerCase() === 'ipv6' ? 'http://[fd00:ec2::254]' : 'http://169.254.169.254'
    return askKeyService({ method, url: new URL(path, said || usual), headers, msMax: metadataMsMax })
  }
}
