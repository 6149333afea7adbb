/**
 * Keys of a container: from the service that ECS, EKS and others put beside it.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Container credential provider". A token that proves the container is
 * sent over https, or to this machine and its link alone.
 */
import { readFile } from 'node:fs/promises'
import { CacheError } from '../../../base/errors.ts'
import { type AwsKeys, type KeySource, keysInJson } from './aws-keys.ts'
import type { AwsEnvironment } from './environment-keys.ts'
import { askKeyService } from './key-service.ts'
import { containerMsMax } from './limits.ts'

/** ECS's own. */
const serviceOfEcs = 'http://169.254.170.2'

export class ContainerKeys implements KeySource {
  readonly name = 'the service of the container'
  readonly #environment: AwsEnvironment

  constructor(environment: AwsEnvironment) {
    this.#environment = environment
  }

  async keys(): Promise<AwsKeys | null> {
    const url = this.#place()
    if (url === null) return null
    const token = await this.#token()
    const headers: Record<string, string> = token === null ? {} : { authorization: token }
    return keysInJson(await askKeyService({ method: 'GET', url, headers, msMax: containerMsMax }))
  }

  /** @throws CacheError access-denied */
  #place(): URL | null {
    const { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: path, AWS_CONTAINER_CREDENTIALS_FULL_URI: full } = this.#environment
    if (path) return new URL(path, serviceOfEcs)
    if (!full) return null
    const url = URL.canParse(full) ? new URL(full) : null
    if (url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isNear(url.hostname)))) return url
    throw new CacheError(
      'access-denied',
      'AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine or its link',
    )
  }

  async #token(): Promise<string | null> {
    const { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file, AWS_CONTAINER_AUTHORIZATION_TOKEN: text } = this.#environment
    const token = file ? (await readFile(file, 'utf8')).trim() : text
    if (token && !/^[\x20-\x7e]+$/.test(token)) throw new Error('its authorization token is not one line of text')
    return token || null
  }
}

/** Loopback, link-local, or EKS's own address. */
function isNear(host: string): boolean {
  return (
    host === 'localhost' ||
    /^(?:127|169\.254)\.\d+\.\d+(?:\.\d+)?$/.test(host) ||
    /^\[(?:::1|fd00:ec2::23)\]$/.test(host)
  )
}
