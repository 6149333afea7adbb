/**
 * Limits of origin/openstack/: each with its unit last and the reason or the sum that led to it.
 */
import { MiB } from '../../base/limits.ts'

/**
 * Pause between two logins that fail, or whose token is refused: identity services lock accounts after some wrong
 * passwords. Source: Keystone, "Security compliance and PCI-DSS", lockout_failure_attempts.
 */
export const loginPauseMs = 5_000

/** A token is renewed so long before its end, or a quarter of its time before, where that is less. */
export const tokenMarginMs = 60_000

/**
 * The lifetime of a token whose server tells none. Source: Swift 2.30 tempauth, token_life is a day; Keystone 22: an
 * hour.
 */
export const tokenMsDefault = 3_600_000

/** Bytes of the answer to a login: catalogs have some kilobytes for each region. */
export const loginBytesMax = 1 * MiB

/** Characters of a server's own words in a message. */
export const wordsCharsMax = 200
