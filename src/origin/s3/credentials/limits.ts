/**
 * Limits of origin/s3/credentials/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../../base/limits.ts'

/**
 * Time before their end at which keys are renewed, or a quarter of their time: a signature made just before is sent for
 * as long as it holds. Source: AWS's tools renew 5 to 15 minutes before (botocore, credentials.py).
 */
export const keysMarginMsMax = 300_000

/** Pause between two renewals: a service that fails, or keys that are refused for good, are not asked for each read. */
export const keysRenewMs = 5_000

/** One exchange with the metadata service. Source: AWS SDKs Reference Guide, IMDS: one second, one attempt. */
export const metadataMsMax = 1_000

/** One exchange with the service of a container. */
export const containerMsMax = 5_000

/** The time for which a token of the metadata service is asked, in seconds. Source: EC2 User Guide: 21,600 at most. */
export const metadataTokenSeconds = 21_600

/** Longest answer of a service that gives keys: a session token has some thousand letters. */
export const keysBytesMax = 64 * KiB

/** Longest shared file: thousands of profiles. */
export const sharedFileBytesMax = 1 * MiB
