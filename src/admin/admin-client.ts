/**
 * Asks a daemon through its admin socket.
 */
import { request } from 'node:http'
import { pause } from '../async/pause.ts'
import { CacheError, type ErrorCode, messageOf } from '../base/errors.ts'
import { fitMsMax } from '../cache/evict/limits.ts'
import type { CacheMode } from '../cache/modes/cache-mode.ts'
import type { DeltaReport } from '../cache/operations/delta-cost.ts'
import type { Explanation } from '../cache/operations/explain-read.ts'
import type { Temperatures } from '../cache/operations/image-temperatures.ts'
import type { ModeEntry, ModeScope } from '../cache/operations/mode-operations.ts'
import type { LearnedProfile } from '../cache/operations/operations.ts'
import type { PlanBasis } from '../cache/plan/plan-basis.ts'
import type { FleetStatus, UnitExplanation } from '../fleet/asking/fleet-status.ts'
import type { ImageLocation } from '../origin/locations/image-location.ts'
import type { LibrbdObject } from './librbd-report.ts'
import { adminAnswerBytesMax, adminMsMax, prepareMsMax, successorLookMs, walkMsMax } from './limits.ts'
import type { AdminError, ReloadOutcome } from './routes.ts'
import type { Status } from './status.ts'
import { successorWaitMs } from './supervisor-presence.ts'

/** No listener: no such socket, or one that a dead daemon left. */
const absentCodes = new Set(['ENOENT', 'ECONNREFUSED'])

/** The listener has died, or was replaced, while it was asked. */
const lostCodes = new Set(['ECONNRESET', 'EPIPE'])

/** The reason why a daemon gave no answer, where its successor may give one; else null. */
export function whyNobody(error: unknown): 'absent' | 'lost' | null {
  const { code = '' } = error as NodeJS.ErrnoException
  return absentCodes.has(code) ? 'absent' : lostCodes.has(code) ? 'lost' : null
}

/**
 * @returns null when no daemon is there
 * @throws CacheError access-denied, closed (it does not answer)
 */
export async function fetchStatus(socketPath: string): Promise<Status | null> {
  return (await askForSuccess(socketPath, 'GET', '/status', null)) as Status | null
}

/**
 * @returns the metrics as text; null when no daemon is there
 * @throws CacheError access-denied, closed (it does not answer)
 */
export async function fetchMetrics(socketPath: string): Promise<string | null> {
  try {
    const { status, text } = await exchange(socketPath, 'GET', '/metrics', '', adminMsMax)
    if (status !== 200) throw new Error(text)
    return text
  } catch (cause) {
    return absentOrThrow(socketPath, cause)
  }
}

/**
 * @returns `absent` when no daemon is there; null when it is unmounted; else why not
 * @throws CacheError access-denied, closed (it does not answer)
 */
export async function requestUnmount(socketPath: string, force: boolean): Promise<AdminError | 'absent' | null> {
  const answer = await ask(socketPath, 'POST', '/unmount', { force })
  if (!answer) return 'absent'
  return answer.status === 200 ? null : (answer.body as AdminError)
}

/**
 * @returns bytes used once they are not over the new capacity, or after `fitMsMax`; null when no daemon is there
 * @throws CacheError invalid-argument, access-denied, closed (it does not answer)
 */
export async function requestCapacity(socketPath: string, capacityBytes: number): Promise<number | null> {
  const waitMsMax = fitMsMax + adminMsMax
  const answer = (await askForSuccess(socketPath, 'POST', '/capacity', { capacityBytes }, waitMsMax)) as {
    usedBytes: number
  } | null
  return answer?.usedBytes ?? null
}

/**
 * @returns what came of it; null when no daemon is there
 * @throws CacheError invalid-argument (the file is not usable, or there is none), access-denied, closed
 */
export async function requestReload(socketPath: string): Promise<ReloadOutcome | null> {
  return (await askForSuccess(socketPath, 'POST', '/reload', {})) as ReloadOutcome | null
}

/**
 * @param directory of the other version; null: the supervisor's own
 * @returns the version that is about to take over; null when no daemon is there
 * @throws CacheError why nothing has happened, access-denied, closed
 */
export async function requestUpgrade(
  socketPath: string,
  directory: string | null,
): Promise<{ readonly version: string } | null> {
  const waitMsMax = prepareMsMax + adminMsMax
  return (await askForSuccess(socketPath, 'POST', '/upgrade', { directory }, waitMsMax)) as {
    readonly version: string
  } | null
}

/**
 * @returns whether a daemon is there
 * @throws CacheError not-found, invalid-argument, access-denied, closed, and what the daemon says
 */
export async function requestPin(socketPath: string, image: string, pinned: boolean): Promise<boolean> {
  return (await askForSuccess(socketPath, 'POST', pinned ? '/pin' : '/unpin', { image })) !== null
}

/**
 * @returns null when no daemon is there
 * @throws CacheError not-found, invalid-argument, access-denied, closed, and what the daemon says
 */
export async function requestExplanation(
  socketPath: string,
  asked: { readonly image: string; readonly offset: number; readonly length: number },
): Promise<(Explanation & { readonly units: readonly UnitExplanation[] }) | null> {
  const answer = await askForSuccess(socketPath, 'POST', '/explain', asked)
  return answer as (Explanation & { units: readonly UnitExplanation[] }) | null
}

/**
 * @param object as librbd names it
 * @returns null when no daemon is there
 * @throws CacheError not-found, invalid-argument, access-denied, closed
 */
export async function requestObject(socketPath: string, object: string): Promise<LibrbdObject | null> {
  return (await askForSuccess(socketPath, 'POST', '/explain-object', { object })) as LibrbdObject | null
}

/** @returns the group, null in it where there is none; null when no daemon is there. @throws CacheError likewise */
export async function requestFleet(socketPath: string): Promise<{ readonly fleet: FleetStatus | null } | null> {
  return (await askForSuccess(socketPath, 'GET', '/fleet', null)) as { fleet: FleetStatus | null } | null
}

/** @returns whether a daemon is there. @throws CacheError invalid-argument (in no group), access-denied, closed */
export async function requestFleetLeave(socketPath: string): Promise<boolean> {
  return (await askForSuccess(socketPath, 'POST', '/fleet/leave', {})) !== null
}

/** @returns null when no daemon is there. @throws CacheError access-denied, closed */
export async function requestPlanBasis(socketPath: string): Promise<PlanBasis | null> {
  return (await askForSuccess(socketPath, 'GET', '/plan', null, walkMsMax)) as PlanBasis | null
}

/** @returns null when no daemon is there. @throws CacheError access-denied, closed, and what the daemon says */
export async function requestLocations(socketPath: string, image: string): Promise<ImageLocation[] | null> {
  return (await askForSuccess(socketPath, 'POST', '/locations', { image })) as ImageLocation[] | null
}

/** @returns null when no daemon is there. @throws CacheError access-denied, closed, and what the daemon says */
export async function requestDelta(socketPath: string, image: string): Promise<DeltaReport | null> {
  return (await askForSuccess(socketPath, 'POST', '/delta', { image }, walkMsMax)) as DeltaReport | null
}

/** @returns null when no daemon is there. @throws CacheError access-denied, closed, and what the daemon says */
export async function requestTemperatures(socketPath: string): Promise<Temperatures | null> {
  return (await askForSuccess(socketPath, 'POST', '/temperatures', {}, walkMsMax)) as Temperatures | null
}

/**
 * @param endsRecording see CacheOperations.profile
 * @returns the boot profile of an image, null in it when there is none; null when no daemon is there
 * @throws CacheError not-found, access-denied, closed, and what the daemon says
 */
export async function requestProfile(
  socketPath: string,
  image: string,
  endsRecording: boolean,
): Promise<{ readonly profile: LearnedProfile | null } | null> {
  const answer = await askForSuccess(socketPath, 'POST', '/profile', { image, endsRecording })
  return answer as { profile: LearnedProfile | null } | null
}

/**
 * @returns whether a daemon is there
 * @throws CacheError not-found, invalid-argument, access-denied, closed, and what the daemon says
 */
export async function importProfile(socketPath: string, image: string, file: string): Promise<boolean> {
  return (await askForSuccess(socketPath, 'POST', '/profile/import', { image, file })) !== null
}

/**
 * @returns once another worker is ready to take over; null when no daemon is there
 * @throws CacheError invalid-argument, cache-foreign, cache-layout, access-denied, closed, and what the daemon says
 */
export async function requestMove(socketPath: string, directory: string): Promise<{ readonly version: string } | null> {
  const answer = await askForSuccess(socketPath, 'POST', '/move-cache', { directory }, prepareMsMax + adminMsMax)
  return answer as { readonly version: string } | null
}

/** A mode for a place; null takes the operator's word back. */
export interface ModeRequest extends ModeScope {
  readonly mode: CacheMode | null
}

/**
 * @param request null: nothing changes
 * @returns the modes in force then; null when no daemon is there
 * @throws CacheError not-found, invalid-argument, access-denied, closed, and what the daemon says
 */
export async function requestModes(socketPath: string, request: ModeRequest | null): Promise<ModeEntry[] | null> {
  const [method, path] = request ? ['POST', '/mode'] : ['GET', '/modes']
  return (await askForSuccess(socketPath, method!, path!, request)) as ModeEntry[] | null
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

/** @returns what was answered; null when no daemon is there. @throws CacheError what the daemon says */
async function askForSuccess(
  socketPath: string,
  method: string,
  path: string,
  body: object | null,
  waitMsMax = adminMsMax,
) {
  const answer = await ask(socketPath, method, path, body, waitMsMax)
  if (!answer) return null
  if (answer.status === 200) return answer.body
  const { code, message } = answer.body as AdminError
  throw new CacheError(code as ErrorCode, message)
}

async function ask(
  socketPath: string,
  method: string,
  path: string,
  body: object | null,
  waitMsMax = adminMsMax,
): Promise<Answer | null> {
  try {
    const sent = body === null ? '' : JSON.stringify(body)
    const { status, text } = await exchange(socketPath, method, path, sent, waitMsMax)
    return { status, body: JSON.parse(text) as unknown }
  } catch (cause) {
    return absentOrThrow(socketPath, cause)
  }
}

/**
 * The meaning of a failed question to a daemon.
 * @returns null when there is no daemon
 * @throws CacheError access-denied, closed
 */
export function absentOrThrow(socketPath: string, cause: unknown): null {
  const code = (cause as NodeJS.ErrnoException).code ?? ''
  if (absentCodes.has(code)) return null
  if (code === 'EACCES' || code === 'EPERM') {
    throw new CacheError('access-denied', `${socketPath}: ask as root, or as the user who mounted it`, { cause })
  }
  throw new CacheError('closed', `${socketPath}: the daemon does not answer: ${messageOf(cause)}`, { cause })
}

/**
 * One question, which may be asked twice: where a worker dies before it has answered, its successor is asked as soon as
 * it listens.
 */
async function exchange(
  ...question: Parameters<typeof exchangeOnce>
): Promise<{ readonly status: number; readonly text: string }> {
  const startedMs = performance.now()
  for (;;) {
    try {
      return await exchangeOnce(...question)
    } catch (error) {
      if (!whyNobody(error) || performance.now() >= startedMs + successorWaitMs(question[0])) throw error
    }
    await pause(successorLookMs)
  }
}

function exchangeOnce(
  socketPath: string,
  method: string,
  path: string,
  body: string,
  waitMsMax: number,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false, timeout: waitMsMax }, response => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        bytes += chunk.length
        if (bytes > adminAnswerBytesMax)
          sent.destroy(new Error(`its answer has more than ${adminAnswerBytesMax} bytes`))
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
      response.on('error', reject)
    })
    sent.on('timeout', () => sent.destroy(new Error(`nothing heard for ${waitMsMax} ms`)))
    sent.on('error', reject)
    sent.end(body)
  })
}
