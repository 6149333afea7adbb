/**
 * Can LMDB follow what is in this file? Every page that it could reach is looked at, with bounds checked, before it opens the file.
 *
 * A sound file is one in which every page is what its header says, lies in one tree or in the list of free pages and in one
 * place of it only, its nodes fill it without gap or overlap, and its keys are in order and between those of its parents; all
 * counts are right. Then nothing that LMDB reads or writes leads it astray. What the values say is their seals' affair.
 *
 * Source: lmdb 3.5, dependencies/lmdb/libraries/liblmdb/mdb.c, the structs MDB_page_header, MDB_node, MDB_ovpage, MDB_db, MDB_meta; midl.c:
 * a list of free pages is its length, then page numbers; -n before one means n pages from there on, 0 nothing.
 */

import { databaseNames } from '../format/value-checksum.ts'
import { LmdbFile, type Meta, type Tree, unsound } from './lmdb-file.ts'

const headerBytes = 24
const nodeHeaderBytes = 8
const treeBytes = 48
/** MDB_ovpage: page number, its transaction, and how many there are. */
const bigDataBytes = 24
const keyBytesMax = 511
const depthMax = 32
const [branchFlag, leafFlag, overflowFlag] = [1, 2, 4]
const [bigDataFlag, subDataFlag] = [1, 2]
/** MDB_INTEGERKEY: the keys of the list of free pages are transaction numbers. */
const integerKeyFlag = 8

/**
 * Look at the file at `path`; nobody may have it open.
 * @returns null when it is sound, else what is wrong
 */
export function findDamage(path: string): string | null {
  let file: LmdbFile | undefined
  try {
    file = LmdbFile.open(path)
    new Walk(file).all()
    return null
  } catch (error) {
    // A RangeError is a look outside a page, too.
    if (error instanceof RangeError) return error.message
    throw error
  } finally {
    file?.close()
  }
}

/** A node of a leaf. */
interface Leaf {
  readonly key: Buffer
  readonly flags: number
  readonly data: Buffer
}

interface Counts {
  branches: number
  leaves: number
  overflows: number
  entries: number
}

class Walk {
  readonly #file: LmdbFile
  readonly #meta: Meta
  /** 1 for each page that somebody has. */
  readonly #taken: Uint8Array
  /** A page for each level of a tree, and the sizes of the nodes by where they begin, in steps of 2 bytes. */
  readonly #levels: Buffer[] = []
  readonly #sizes: Uint16Array

  constructor(file: LmdbFile) {
    this.#file = file
    this.#meta = file.meta
    this.#taken = new Uint8Array(this.#meta.lastPage + 1)
    this.#sizes = new Uint16Array(file.pageBytes / 2)
  }

  all(): void {
    this.#take(0, 2)
    this.#file.readAhead()
    this.#tree(this.#meta.free, leaf => this.#freeList(leaf))
    // Afterwards: a level of one tree is not kept while another is walked.
    const trees: Tree[] = []
    this.#tree(this.#meta.main, ({ key, flags, data }) => {
      // Names end with a NUL.
      const isKnown = databaseNames.some(name => `${name}\0` === key.toString('latin1'))
      if (!isKnown || flags !== subDataFlag || data.length !== treeBytes) throw unsound('a database that is not ours')
      const tree = this.#file.treeAt(data, 0)
      if (tree.flags !== 0) throw unsound('a database of another kind')
      trees.push(tree)
    })
    for (const tree of trees) this.#tree(tree, null)
  }

  /** @param visit hears of each leaf node; null where any value will do */
  #tree(tree: Tree, visit: ((leaf: Leaf) => void) | null): void {
    const counts: Counts = { branches: 0, leaves: 0, overflows: 0, entries: 0 }
    if (tree.depth > depthMax) throw unsound('a tree that is too deep')
    if (tree.root !== null) {
      const walk = { counts, visit, depth: tree.depth, isFree: tree.flags === integerKeyFlag }
      this.#page(walk, tree.root, 1, null, null)
    }
    const isRight =
      (tree.root !== null || tree.depth === 0) &&
      counts.branches === tree.branches &&
      counts.leaves === tree.leaves &&
      counts.overflows === tree.overflows &&
      counts.entries === tree.entries
    if (!isRight) throw unsound('a tree whose counts are wrong')
  }

  /** All keys of the page must lie in [from, to). */
  #page(walk: TreeWalk, number: number, level: number, from: Buffer | null, to: Buffer | null): void {
    this.#take(number, 1)
    const page = (this.#levels[level] ??= Buffer.alloc(this.#file.pageBytes))
    this.#file.readPages(number, page)
    const isLeaf = level === walk.depth
    this.#header(page, number, isLeaf ? leafFlag : branchFlag)
    const nodes = this.#nodes(page, isLeaf, walk.isFree)
    if (isLeaf) walk.counts.leaves++
    else walk.counts.branches++
    let [lastStart, lastEnd] = [0, 0]
    for (let k = 0; k < nodes; k++) {
      const node = headerBytes + page.readUInt16LE(headerBytes + 2 * k)
      const start = node + nodeHeaderBytes
      const end = start + page.readUInt16LE(node + 6)
      // The first key of a branch stands for everything before the second.
      if (isLeaf || k > 0) {
        if (end === start || end - start > keyBytesMax || (walk.isFree && end - start !== 8)) throw unsound('a key')
        if (lastEnd > 0 && compareKeys(walk, page, lastStart, lastEnd, page, start, end) >= 0)
          throw unsound('the order of keys')
        lastStart = start
        lastEnd = end
      }
      if (isLeaf) this.#leaf(walk, page, node, end)
    }
    const first = keyAt(page, isLeaf ? 0 : 1)
    const isBelow = from !== null && compareKeys(walk, first, 0, first.length, from, 0, from.length) < 0
    const isAbove = to !== null && compareKeys(walk, page, lastStart, lastEnd, to, 0, to.length) >= 0
    if (isBelow || isAbove) throw unsound('a key that belongs elsewhere')
    for (let k = 0; !isLeaf && k < nodes; k++) {
      const node = headerBytes + page.readUInt16LE(headerBytes + 2 * k)
      const child = page.readUInt32LE(node) + page.readUInt16LE(node + 4) * 2 ** 32
      this.#page(walk, child, level + 1, k === 0 ? from : keyAt(page, k), k + 1 < nodes ? keyAt(page, k + 1) : to)
    }
  }

  #header(page: Buffer, number: number, flags: number): void {
    const isRight =
      page.readUIntLE(0, 6) === number &&
      page.readUInt16LE(6) === 0 &&
      page.readBigUInt64LE(8) <= this.#meta.transaction &&
      page.readUInt16LE(18) === flags
    if (!isRight) throw unsound(`page ${number} is not what its place says`)
  }

  /**
   * Check that the nodes of a page fill it from its upper bound to its end.
   * @param mayHaveGaps lists of free pages are cut short where they lie
   * @returns how many
   */
  #nodes(page: Buffer, isLeaf: boolean, mayHaveGaps: boolean): number {
    const [lower, upper] = [page.readUInt16LE(20), page.readUInt16LE(22)]
    const end = page.length - headerBytes
    const nodes = lower / 2
    const nodesMin = isLeaf ? 1 : 2
    if (!Number.isInteger(nodes) || nodes < nodesMin || lower > upper || upper > end)
      throw unsound('the bounds of a page')
    const sizes = this.#sizes
    sizes.fill(0, upper / 2, end / 2)
    for (let k = 0; k < nodes; k++) {
      const at = page.readUInt16LE(headerBytes + 2 * k)
      if (at < upper || at % 2 !== 0) throw unsound('a node outside its page')
      const node = headerBytes + at
      const key = page.readUInt16LE(node + 6)
      const isBig = isLeaf && (page.readUInt16LE(node + 4) & bigDataFlag) !== 0
      const data = !isLeaf ? 0 : isBig ? bigDataBytes : page.readUInt32LE(node)
      const size = nodeHeaderBytes + key + data
      if (at + size > end) throw unsound('a node that is longer than its page')
      sizes[at / 2] = size + (size % 2)
    }
    let found = 0
    for (let at = upper; at < end; at += sizes[at / 2] || 2) {
      if (sizes[at / 2] !== 0) found++
      else if (!mayHaveGaps) throw unsound('a gap between nodes')
    }
    if (found !== nodes) throw unsound('nodes that overlap')
    return nodes
  }

  #leaf(walk: TreeWalk, page: Buffer, node: number, keyEnd: number): void {
    const flags = page.readUInt16LE(node + 4)
    walk.counts.entries++
    if (flags === 0 && walk.visit === null) return
    const length = page.readUInt32LE(node)
    let data = page.subarray(keyEnd, keyEnd + length)
    if (flags === bigDataFlag) {
      const first = page.readUIntLE(keyEnd, 6)
      const pages = Math.floor((headerBytes - 1 + length) / this.#file.pageBytes) + 1
      if (page.readUInt16LE(keyEnd + 6) !== 0) throw unsound('a page beyond the end')
      if (page.readBigUInt64LE(keyEnd + 16) !== BigInt(pages)) throw unsound('a long value whose pages are wrong')
      this.#take(first, pages)
      walk.counts.overflows += pages
      const whole = Buffer.alloc(walk.visit ? pages * this.#file.pageBytes : headerBytes)
      this.#file.readPages(first, whole)
      this.#header(whole, first, overflowFlag)
      const isOne = whole.readUInt32LE(20) === pages && whole.readBigUInt64LE(8) === page.readBigUInt64LE(keyEnd + 8)
      if (!isOne) throw unsound('a long value whose pages are wrong')
      data = whole.subarray(headerBytes, headerBytes + length)
    } else if (flags !== (walk.visit && !walk.isFree ? subDataFlag : 0)) throw unsound('a node of another kind')
    walk.visit?.({ key: page.subarray(node + nodeHeaderBytes, keyEnd), flags, data })
  }

  #freeList({ key, data }: Leaf): void {
    const transaction = key.readBigUInt64LE(0)
    const length = Number(data.readBigUInt64LE(0))
    if (transaction === 0n || transaction > this.#meta.transaction || 8 * (length + 1) > data.length)
      throw unsound('a list of free pages')
    let pages = 1
    for (let k = 1; k <= length; k++) {
      const entry = Number(data.readBigInt64LE(8 * k))
      if (entry > 0) {
        this.#take(entry, pages)
        pages = 1
      } else if (pages !== 1) throw unsound('a list of free pages')
      else if (entry < 0) pages = -entry
    }
    if (pages !== 1) throw unsound('a list of free pages')
  }

  #take(first: number, pages: number): void {
    if (first + pages > this.#taken.length) throw unsound('a page beyond the end')
    for (let page = first; page < first + pages; page++) {
      if (this.#taken[page] === 1) throw unsound('a page in two places')
      this.#taken[page] = 1
    }
  }
}

interface TreeWalk {
  readonly counts: Counts
  readonly visit: ((leaf: Leaf) => void) | null
  readonly depth: number
  readonly isFree: boolean
}

function keyAt(page: Buffer, k: number): Buffer {
  const node = headerBytes + page.readUInt16LE(headerBytes + 2 * k)
  return page.subarray(node + nodeHeaderBytes, node + nodeHeaderBytes + page.readUInt16LE(node + 6))
}

/** The key at [aStart, aEnd) of `a` against that of `b`, in the order of their tree. */
function compareKeys(
  { isFree }: TreeWalk,
  a: Buffer,
  aStart: number,
  aEnd: number,
  b: Buffer,
  bStart: number,
  bEnd: number,
): number {
  if (!isFree) return a.compare(b, bStart, bEnd, aStart, aEnd)
  const [left, right] = [a.readBigUInt64LE(aStart), b.readBigUInt64LE(bStart)]
  return left < right ? -1 : left > right ? 1 : 0
}
