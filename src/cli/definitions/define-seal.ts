/**
 * Definition of the command that seals an image.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseSize } from '../../base/sizes.ts'
import { type TreeAlgorithm, treeAlgorithms } from '../../origin/sealed/superblock.ts'
import type { Ended } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'

interface SealOptions {
  readonly out?: string
  readonly salt?: string
  readonly hash: TreeAlgorithm
  readonly dataBlockSize: number
  readonly hashBlockSize: number
  readonly uuid?: string
}

export function defineSeal(program: Command, ended: Ended): void {
  const seal = program
    .command('seal')
    .copyInheritedSettings(program)
    .description('Make the hash tree of IMAGE, as veritysetup does, and print its root hash (docs/PUBLISHING.md).')
    .argument('<image>', 'a file')
    .option('--out <file>', 'where to write the tree (default: IMAGE.verity)')
    .option(
      '--salt <hex>',
      'up to 256 bytes, or - for none; versions of one image share it (default: random)',
      parseSalt,
    )
    .addOption(new Option('--hash <algorithm>', 'hash algorithm').choices(treeAlgorithms).default('sha256'))
    .option('--data-block-size <size>', 'bytes of the image below one digest', parseBlockSize, 4096)
    .option('--hash-block-size <size>', 'bytes of a block of the tree', parseBlockSize, 4096)
    .option('--uuid <uuid>', 'of the tree (default: random)', parseUuid)
    .action(async (image: string, options: SealOptions) => {
      const module = await import('../commands/seal.ts')
      const { out = null, salt = null, hash, dataBlockSize, hashBlockSize, uuid = null } = options
      const sizes = { dataBlockBytes: dataBlockSize, hashBlockBytes: hashBlockSize }
      ended(await module.sealImage({ image, out, salt, algorithm: hash, ...sizes, uuid }))
    })
  addExamples(seal, 'parentfs seal debian-12.raw --salt 6b1f33 > debian-12.raw.roothash')
}

function parseSalt(text: string): string {
  if (text === '-') return ''
  if (/^([0-9a-fA-F]{2}){1,256}$/.test(text)) return text.toLowerCase()
  throw new InvalidArgumentError('a salt is 1 to 256 bytes in hex, or -')
}

function parseBlockSize(text: string): number {
  const bytes = parseSize(text)
  if (bytes >= 512 && bytes <= 524_288 && Number.isInteger(Math.log2(bytes))) return bytes
  throw new InvalidArgumentError('a block has 512 bytes to 512KiB, a power of two')
}

function parseUuid(text: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text.toLowerCase()
  throw new InvalidArgumentError('a UUID is written like 01234567-89ab-cdef-0123-456789abcdef')
}
