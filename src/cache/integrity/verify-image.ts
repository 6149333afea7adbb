/**
 * Verifies an image on demand: each of its stored blocks against its checksum, as the disk has it, and a complete image
 * against its publisher's digest. At full speed, one piece at a time.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { countOf } from '../../base/image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { DigestState, DigestVerifier } from './digest-verifier.ts'
import { piecesOf } from './scrubber.ts'

/** The progress of one image. */
export interface VerificationProgress {
  readonly name: string
  /** Blocks against checksums, then the whole against the digest. */
  readonly phase: 'blocks' | 'digest'
  readonly doneBytes: number
  readonly totalBytes: number
}

/** The findings in one image. */
export interface VerifiedImage {
  readonly name: string
  readonly verifiedBytes: number
  /** Blocks that were damaged, and are dropped now. */
  readonly corruptBlocks: number
  readonly complete: boolean
  readonly digest: DigestState
  /** Why the digest could not be compared, or null. */
  readonly problem: string | null
}

export interface VerificationOptions {
  readonly signal: CancelSignal
  readonly onProgress: (progress: VerificationProgress) => void
}

/** @throws CacheError aborted, index-failed */
export async function verifyImage(
  name: string,
  stored: StoredImage,
  digester: DigestVerifier,
  { signal, onProgress }: VerificationOptions,
): Promise<VerifiedImage> {
  const corruptBefore = stored.corruptBlocks
  const totalBytes = stored.heldBytes
  let verifiedBytes = 0
  for (const object of stored.heldObjects()) {
    for (const piece of piecesOf(stored.held(object), stored.geometry.blockBytes)) {
      if (signal.aborted) throw new CacheError('aborted', 'nobody waits for the verification any more')
      const checked = await stored.scrub(object, piece, true)
      verifiedBytes = Math.min(totalBytes, verifiedBytes + countOf(checked) * stored.geometry.blockBytes)
      onProgress({ name, phase: 'blocks', doneBytes: verifiedBytes, totalBytes })
    }
  }
  const corruptBlocks = stored.corruptBlocks - corruptBefore
  const found = { name, verifiedBytes, corruptBlocks, complete: stored.complete }
  const before = digester.state(stored.image)
  if (!stored.complete && before !== 'mismatch') return { ...found, digest: before, problem: null }
  let doneBytes = 0
  const spend = async (bytes: number) => {
    doneBytes += bytes
    onProgress({ name, phase: 'digest', doneBytes, totalBytes: stored.image.sizeBytes })
    // Requests have their turn between two pieces.
    await new Promise(resolve => setImmediate(resolve))
  }
  try {
    return { ...found, digest: await digester.compare(stored, { signal, spend }), problem: null }
  } catch (error) {
    if (signal.aborted) throw error
    return { ...found, digest: digester.state(stored.image), problem: messageOf(error) }
  }
}
