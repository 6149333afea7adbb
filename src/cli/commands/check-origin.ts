/**
 * Checks of an origin for `parentfs doctor`: its names, validators, ranges and latency, and its clock.
 */
import { CacheError, isCacheError } from '../../base/errors.ts'
import { identify } from '../../base/image.ts'
import { silentLogger } from '../../base/logger.ts'
import type { OriginPlace } from '../../daemon/config/configuration.ts'
import { originOptionsOf } from '../../daemon/config/origin-settings.ts'
import { loadAddon } from '../../native/addon.ts'
import { loadCephAddon } from '../../native/ceph-addon.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import { openOrigin } from '../../origin/open-origin.ts'
import { plainEmptiness, plainFailure } from '../../origin/plain-failure.ts'
import { bad, type Finding, fine, note } from './finding.ts'
import { doctorOriginMsMax, originProbeReads, originReadMsMax } from './limits.ts'

const readBytes = 64 * 1024

/** Never rejects for what the origin does. */
export async function checkOrigin({ directory, settings }: OriginPlace): Promise<Finding[]> {
  const name = directory === null ? 'origin' : `origin ${directory}`
  let origin: Origin
  try {
    const addon = loadAddon()
    const options = { ...originOptionsOf(settings, silentLogger), missMsMax: doctorOriginMsMax }
    origin = openOrigin(settings.url, { addon, loadCeph: loadCephAddon, unpacker: addon, options })
  } catch (error) {
    return [bad(name, asFailure(error).message, 'mend the settings of the origin')]
  }
  try {
    return await probed(name, origin)
  } catch (error) {
    const sentence = plainFailure(origin.url, asFailure(error))
    const at = sentence.lastIndexOf(': ')
    return [bad(name, sentence.slice(0, at).replace(/^origin /, ''), sentence.slice(at + 2))]
  } finally {
    await origin.close()
  }
}

async function probed(name: string, origin: Origin): Promise<Finding[]> {
  const signal = AbortSignal.timeout(doctorOriginMsMax)
  const startedMs = performance.now()
  const names = await origin.list({ signal })
  const listing = `${(performance.now() - startedMs).toFixed(0)} ms`
  if (names === null || names.length === 0) {
    const sentence = plainEmptiness(origin.url, names !== null).replace(/^origin /, '')
    return [note(name, sentence, 'names are found when they are asked for: is the path right?')]
  }
  const found = [fine(`${name} names`, `${names.length} names in ${listing}, ${origin.url}`)]
  const key = names[0]!
  const facts = await origin.lookup(key, { signal })
  found.push(fine(`${name} validators`, `${key}: ${facts.sizeBytes} bytes, version ${facts.validator}`))
  if (facts.isSequential) {
    const remedy = 'serve ranges for random reads: without them an image is read from the front'
    return [...found, note(`${name} ranges`, `${key} has none`, remedy)]
  }
  const image = identify(facts)
  const length = Math.min(readBytes, facts.sizeBytes)
  const took: number[] = []
  for (let k = 0; k < originProbeReads && length > 0; k++) {
    const offset = Math.floor(((facts.sizeBytes - length) * k) / originProbeReads)
    const beganMs = performance.now()
    await origin.read(image, offset, new Uint8Array(length), { signal })
    took.push(performance.now() - beganMs)
  }
  took.sort((a, b) => a - b)
  const median = took[took.length >> 1] ?? 0
  const text = `${took.length} ranges of ${length} bytes, ${median.toFixed(1)} ms each (median)`
  const slow = 'a miss waits that long: let the first host promote what all will read, or record boot profiles'
  found.push(median <= originReadMsMax ? fine(`${name} ranges`, text) : note(`${name} ranges`, text, slow))
  return found
}

function asFailure(error: unknown): CacheError {
  return isCacheError(error) ? error : new CacheError('origin-failed', String(error), { cause: error })
}
