/**
 * Handshake with an NBD server, fixed newstyle: options are asked one after the other, and every answer is checked.
 */
import { CacheError } from '../../base/errors.ts'
import {
  nbdBlockBytesDefault,
  nbdMinBlockBytesMax,
  nbdOptionRepliesMax,
  nbdOptionReplyBytesMax,
  nbdStringBytesMax,
} from './limits.ts'
import { OptionRefused, protocolError } from './nbd-errors.ts'
import { imageNameOfExport } from './nbd-names.ts'
import type { NbdSocket } from './nbd-socket.ts'
import {
  allocationContext,
  canMultiConn,
  contextData,
  exportData,
  fixedNewstyle,
  infos,
  initMagic,
  noZeroes,
  type OptionRefusal,
  optionMagic,
  optionMessage,
  optionReplyMagic,
  options,
  refusalBit,
  refusals,
  replies,
} from './protocol.ts'

/** An export, as its server describes it. */
export interface ExportFacts {
  readonly sizeBytes: number
  readonly canMultiConn: boolean
  /** Requests begin and end at multiples of it, or at the end of the export. A power of two. */
  readonly blockBytesMin: number
  readonly requestBytesMax: number
}

/** The terms of a connection. */
export interface Terms extends ExportFacts {
  /** Replies come in chunks. */
  readonly isStructured: boolean
  /** Number of the context that tells holes; null: there is none. */
  readonly allocation: number | null
}

/** Takes a reply; false ends the listening. */
type TakeReply = (type: number, data: Buffer) => boolean

/** The first words. @throws CacheError origin-protocol, origin-unsupported */
export async function greet(socket: NbdSocket): Promise<void> {
  const greeting = await socket.take(18)
  if (greeting.readBigUInt64BE(0) !== initMagic) throw protocolError('this is not an NBD server')
  const flags = greeting.readUInt16BE(16)
  if (greeting.readBigUInt64BE(8) !== optionMagic || (flags & fixedNewstyle) === 0) {
    throw new CacheError(
      'origin-unsupported',
      'the server speaks an old NBD: it has to know fixed newstyle negotiation',
    )
  }
  const answer = Buffer.alloc(4)
  answer.writeUInt32BE(fixedNewstyle | (flags & noZeroes))
  socket.write(answer)
}

/** Ask for encryption. @throws OptionRefused */
export async function askForTls(socket: NbdSocket): Promise<void> {
  await ask(socket, options.startTls)
}

/**
 * Images of all exports, each once; null where exports are not told. With more than `max` of them, the connection is
 * of no further use.
 */
export async function listImages(socket: NbdSocket, max: number): Promise<string[] | null> {
  const names = new Set<string>()
  const take: TakeReply = (type, data) => {
    if (type !== replies.server || data.length < 4) throw protocolError('a wrong answer about exports')
    const end = 4 + data.readUInt32BE(0)
    if (end > data.length || end > 4 + nbdStringBytesMax) throw protocolError('a wrong name of an export')
    // What can be no file is not kept: a name has 4 KiB here.
    const image = imageNameOfExport(data.toString('utf8', 4, end))
    if (image !== null) names.add(image)
    return names.size < max
  }
  return (await isGranted(ask(socket, options.list, undefined, take, Number.POSITIVE_INFINITY))) ? [...names] : null
}

/**
 * The facts of an export; the connection is of no further use.
 *
 * An empty export is entered, to be sure: nbd-server tells no size before. Source: tried with nbd-server 3.24.
 * @throws OptionRefused, CacheError
 */
export async function describeExport(socket: NbdSocket, name: string): Promise<ExportFacts> {
  const told = await askForExport(socket, options.info, name)
  return told.sizeBytes > 0 ? told : await askForExport(socket, options.go, name)
}

/** Enter an export: requests are the next thing on this connection. @throws OptionRefused, CacheError */
export async function enterExport(socket: NbdSocket, name: string): Promise<Terms> {
  const isStructured = await isGranted(ask(socket, options.structuredReply))
  let allocation: number | null = null
  if (isStructured) {
    const take: TakeReply = (type, data) => {
      if (type !== replies.metaContext || data.toString('utf8', 4) !== allocationContext)
        throw protocolError('a wrong answer about contexts')
      allocation = data.readUInt32BE(0)
      return true
    }
    await isGranted(ask(socket, options.setMetaContext, contextData(name, allocationContext), take))
  }
  const facts = await askForExport(socket, options.go, name)
  return { ...facts, isStructured, allocation }
}

async function askForExport(socket: NbdSocket, option: number, name: string): Promise<ExportFacts> {
  let exported: { readonly size: bigint; readonly flags: number } | null = null
  let [blockBytesMin, blockBytesMax]: [number, number] = [nbdBlockBytesDefault.min, nbdBlockBytesDefault.max]
  await ask(socket, option, exportData(name, [infos.blockSize]), (type, data) => {
    if (type !== replies.info || data.length < 2) throw protocolError('a wrong answer about an export')
    const fact = data.readUInt16BE(0)
    if (fact === infos.export) {
      if (data.length !== 12) throw protocolError('a size of a wrong length')
      exported = { size: data.readBigUInt64BE(2), flags: data.readUInt16BE(10) }
    } else if (fact === infos.blockSize) {
      if (data.length !== 14) throw protocolError('block sizes of a wrong length')
      blockBytesMin = data.readUInt32BE(2)
      blockBytesMax = data.readUInt32BE(10)
    }
    return true
  })
  if (exported === null) throw protocolError('the server does not tell the size of the export')
  const { size, flags } = exported as { readonly size: bigint; readonly flags: number }
  const isPower = blockBytesMin > 0 && (blockBytesMin & (blockBytesMin - 1)) === 0
  if (!isPower || blockBytesMin > nbdMinBlockBytesMax || blockBytesMax < blockBytesMin)
    throw protocolError(`block sizes from ${blockBytesMin} to ${blockBytesMax} bytes cannot be`)
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw new CacheError('image-too-large', `it has ${size} bytes`)
  return {
    sizeBytes: Number(size),
    canMultiConn: (flags & canMultiConn) !== 0,
    blockBytesMin,
    requestBytesMax: blockBytesMax,
  }
}

/**
 * Ask for one option, to its last reply.
 * @throws OptionRefused, CacheError
 */
async function ask(
  socket: NbdSocket,
  option: number,
  data?: Uint8Array,
  take: TakeReply = () => true,
  repliesMax: number = nbdOptionRepliesMax,
): Promise<void> {
  socket.write(optionMessage(option, data))
  for (let count = 0; count <= repliesMax; count++) {
    const head = await socket.take(20)
    if (head.readBigUInt64BE(0) !== optionReplyMagic || head.readUInt32BE(8) !== option)
      throw protocolError('an answer to what was not asked')
    const type = head.readUInt32BE(12)
    const length = head.readUInt32BE(16)
    if (length > nbdOptionReplyBytesMax) throw protocolError(`an answer of ${length} bytes`)
    const body = length === 0 ? Buffer.alloc(0) : await socket.take(length)
    if (type === replies.ack) return
    if (type >= refusalBit) throw new OptionRefused(refusalOf(type), body.toString('utf8', 0, nbdStringBytesMax))
    if (!take(type, body)) return
  }
  throw protocolError(`more than ${repliesMax} answers to one question`)
}

/** False when the server does not have it, or not for us; but it may be for other reasons, too. */
async function isGranted(asked: Promise<void>): Promise<boolean> {
  try {
    await asked
    return true
  } catch (error) {
    if (error instanceof OptionRefused && !['tls-required', 'shutdown'].includes(error.refusal)) return false
    throw error
  }
}

function refusalOf(type: number): OptionRefusal {
  const number = type - refusalBit
  return Object.hasOwn(refusals, number) ? refusals[number as keyof typeof refusals] : 'other'
}
