/**
 * Addresses of buckets: the host and path at which the objects of a bucket are asked for. Pure.
 */
import type { S3Place } from './s3-url.ts'

/** The place of the name of the bucket: in the path, in the host, or as `auto` finds best. */
export const addressings = ['auto', 'path', 'virtual'] as const
export type Addressing = (typeof addressings)[number]

/**
 * The URL of the bucket, ending in a slash: keys go behind it.
 * @param endpoint null: that of AWS in `region`
 */
export function bucketUrlOf(bucket: S3Place['bucket'], endpoint: URL | null, region: string, how: Addressing): URL {
  const service = endpoint ?? awsEndpointOf(region)
  const isVirtual = how === 'virtual' || (how === 'auto' && endpoint === null && isHostLabel(bucket))
  const url = new URL(service)
  if (isVirtual) url.hostname = `${bucket}.${url.hostname}`
  else url.pathname += `${bucket}/`
  return url
}

/** Source: AWS General Reference, "Amazon S3 endpoints and quotas"; China has a domain of its own. */
function awsEndpointOf(region: string): URL {
  return new URL(`https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}/`)
}

/** One label: AWS's certificates are for one label before the region. */
function isHostLabel(bucket: string): boolean {
  return /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket)
}
