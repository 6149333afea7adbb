/**
 * Limits of origin/wrappers/: each with its unit last and the reason or the sum that led to it.
 */
import { TiB } from '../../base/limits.ts'

/** Calls that wait for their turn at one origin: as many as the kernel may have reads outstanding. */
export const originQueueMax = 65_535

/** Calls at once that session threads may make: half is left to TypeScript, where processes take turns. */
export function nativeShareOf(concurrencyMax: number): number {
  return Math.floor(concurrencyMax / 2)
}

/** The ration that session threads get ahead of an origin's rates: as much as comes in so many milliseconds. */
export const nativeRationMs = 100

/** Tries of one origin request, and the first and longest pause between them. */
export const originTriesMax = 3

export const retryMsMin = 100

export const retryMsMax = 2_000

/** Tries that fail one after the other, with no answer in between, until an origin is taken for away. */
export const originFailuresMax = 5

/** The pause before an origin that is away is tried again: doubled after each try that failed. */
export const originProbeMsMin = 500

export const originProbeMsMax = 5_000

/** Tries under way while it is not sure that an origin is back, and answers in a row that make it sure. */
export const originTrialsMax = 4

export const originAnswersNeeded = 3

/**
 * A read is asked for a second time when it takes longer than this share of the latest ones of its size, but not before
 * so many are known, and not before so many milliseconds: below that there is nothing to gain.
 */
export const hedgeQuantile = 0.99

export const hedgeSamplesMin = 100

export const hedgeSamplesMax = 512

export const hedgeMsMin = 10

/** Second requests as a share of the first ones, and how many of them may come at once. */
export const hedgeShareMax = 0.05

export const hedgeBurstMax = 4

/**
 * Largest image: with the smallest blocks its residency table, 16 bytes for each object of 64 of them, is then 4 GiB,
 * the most that JavaScript can see of one buffer. Source: Node.js 20, buffer.constants.MAX_LENGTH.
 */
export const imageBytesMax = 64 * TiB
