/**
 * Limits of cache/prefetch/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'

/** Longest profile file: `profileRunsMax` ranges of two numbers with 16 digits are 108 KiB of JSON. */
export const profileFileBytesMax = 128 * KiB

/** Longest validator in a published profile: servers send no longer headers. */
export const profileValidatorCharsMax = 8 * KiB

/** The time after an open in which a published profile is looked for: later most of a boot is over. */
export const profileFindMsMax = 5_000

/** Published profiles that are looked for at once at one origin: half of the slots for names stay free. */
export const profileFindsMax = 4

/** Images without a usable published profile that are remembered: 200 bytes of memory each. */
export const profilesMissingMax = 4_096

/** The share of an image that a published profile may have fetched: a boot reads less. */
export const profileImageShareMax = 1 / 2

/** The part of a published profile of another version that is fetched at first; each further part is twice as long. */
export const profileTrialBytes = 8 * MiB

/** The share of such a part that must have been read before the next one is fetched. */
export const profileTrialShareMin = 1 / 2
