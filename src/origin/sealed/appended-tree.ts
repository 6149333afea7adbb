/**
 * Appended tree: the places in an image at which the superblock of a tree behind the data can lie, by the sizes alone.
 * Pure.
 *
 * The image ends with its tree, or with data of FEC behind that. For each shape of a tree, the number of data blocks
 * whose data, tree and FEC add up to the size of the image is found by bisection. Source: cryptsetup
 * lib/verity/verity_fec.c for the length of FEC.
 */
import { treeAlgorithms } from './superblock.ts'
import { treeLayoutOf } from './tree-layout.ts'

const blockSizes = [4096, 512, 1024, 2048] as const
/** Source: cryptsetup lib/verity/verity_fec.c, FEC_RSM is 255 and roots are 2 to 24. */
const fecWord = 255
const fecRootsMax = 24

/** A shape of which one image may have been sealed. */
interface Candidate {
  readonly algorithm: (typeof treeAlgorithms)[number]
  readonly dataBlockBytes: number
  readonly hashBlockBytes: number
  /** 0: no FEC. */
  readonly fecRoots: number
}

/**
 * Offsets of superblocks, the likeliest first, each once.
 * @param isThorough all shapes; else those that tools make without being told
 */
export function appendedOffsets(sizeBytes: number, isThorough: boolean): number[] {
  const offsets = new Set<number>()
  for (const candidate of candidates(isThorough)) {
    const offset = offsetOf(sizeBytes, candidate)
    if (offset !== null) offsets.add(offset)
  }
  return [...offsets]
}

function* candidates(isThorough: boolean): Generator<Candidate> {
  for (const size of blockSizes) {
    for (const algorithm of treeAlgorithms) {
      for (const fecRoots of [0, 2]) yield { algorithm, dataBlockBytes: size, hashBlockBytes: size, fecRoots }
    }
  }
  if (!isThorough) return
  for (const dataBlockBytes of blockSizes) {
    for (const hashBlockBytes of blockSizes) {
      for (const algorithm of treeAlgorithms) {
        for (const fecRoots of [0, 2]) yield { algorithm, dataBlockBytes, hashBlockBytes, fecRoots }
      }
    }
  }
  for (let fecRoots = 3; fecRoots <= fecRootsMax; fecRoots++) {
    for (const algorithm of treeAlgorithms) yield { algorithm, dataBlockBytes: 4096, hashBlockBytes: 4096, fecRoots }
  }
}

function offsetOf(sizeBytes: number, candidate: Candidate): number | null {
  let low = 1
  let high = Math.floor(sizeBytes / candidate.dataBlockBytes)
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (totalBytes(middle, candidate) < sizeBytes) low = middle + 1
    else high = middle
  }
  return low === high && totalBytes(low, candidate) === sizeBytes ? low * candidate.dataBlockBytes : null
}

/** Data, tree and FEC. */
function totalBytes(dataBlocks: number, { fecRoots, ...shape }: Candidate): number {
  const offset = dataBlocks * shape.dataBlockBytes
  const end = offset + treeLayoutOf({ ...shape, dataBlocks }, offset).bytes
  if (fecRoots === 0) return end
  const covered = Math.ceil(end / shape.dataBlockBytes)
  return end + Math.ceil(covered / (fecWord - fecRoots)) * fecRoots * shape.dataBlockBytes
}
