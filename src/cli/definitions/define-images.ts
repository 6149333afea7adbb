/**
 * Definitions of the commands about images.
 */
import { type Command, Option } from 'commander'
import { parseRange, parseSize } from '../../base/sizes.ts'
import { type Ended, value } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'
import { chosenMount, type OnMount, ofImage, onMount, withMountOption } from './mount-choice.ts'

interface ImagesOptions {
  readonly json?: boolean
  readonly temperature?: boolean
  readonly delta?: string
}

export function defineImages(program: Command, ended: Ended): void {
  const images = program.command('images').copyInheritedSettings(program)
  onMount(images)
    .description(
      'List the images of the mount on MOUNTPOINT, or of the only one, and how much of each is in the cache.',
    )
    .option('--temperature', 'how much of each was used in how many of the last periods, by the hit sets')
    .option('--delta <name>', 'what the version of NAME now costs beside the older one that is held (docs/VERITY.md)')
    .option('--json', 'for machines: an array; with --temperature or --delta an object')
    .action(async (mountpoint: string | undefined, options: OnMount & ImagesOptions) => {
      const { json = false, temperature = false, delta } = options
      const module = await import('../commands/images.ts')
      if (delta !== undefined) {
        ended(await module.delta(delta, chosenMount(images, mountpoint, options), json))
        return
      }
      ended(await (temperature ? module.temperatures : module.images)(chosenMount(images, mountpoint, options), json))
    })
  addExamples(images, 'parentfs images', 'parentfs images /srv/parents --json')
}

interface PromoteOptions extends OnMount {
  readonly range: ReturnType<typeof parseRange>[]
  readonly group?: true
}

export function definePromote(program: Command, ended: Ended): void {
  const what =
    'Bring IMAGE, or ranges of it, into the cache. What is there is skipped; Ctrl-C stops, and keeps what came.'
  const promote = ofImage(program, 'promote', what)
    .addOption(
      new Option('--range <from-to>', 'only these bytes, like 0-1GiB or 10GiB- (may be repeated)')
        .argParser(collectRanges)
        .default([], 'the whole image'),
    )
    .option('--group', 'have every member of the group bring it, each byte from the origin once')
    .action(async (image: string, { range, group, mountpoint }: PromoteOptions) => {
      const path = mountpoint ?? null
      if (group !== true) return ended(await (await import('../commands/promote.ts')).promote(image, range, path))
      ended(await (await import('../commands/promote-group.ts')).promoteGroup(image, range, path))
    })
  addExamples(
    promote,
    'parentfs promote debian.raw',
    'parentfs promote /srv/parents/debian.raw --range 0-1GiB --range 10GiB-',
    'parentfs promote debian.raw --group',
  )
}

export function definePin(program: Command, ended: Ended): void {
  const descriptions = {
    pin: 'Never evict IMAGE, until it is unpinned. Half of the capacity may be pinned. Restarts keep pins.',
    unpin: 'Let IMAGE be evicted again.',
  }
  for (const command of ['pin', 'unpin'] as const) {
    const pin = ofImage(program, command, descriptions[command]).action(
      async (image: string, { mountpoint }: OnMount) => {
        const module = await import('../commands/pin.ts')
        ended(await module.pin(image, mountpoint ?? null, command === 'pin'))
      },
    )
    addExamples(pin, `parentfs ${command} debian.raw`)
  }
}

export function defineExplain(program: Command, ended: Ended): void {
  const explain = ofImage(
    program,
    'explain',
    'Say who would answer a read of LENGTH bytes at OFFSET of IMAGE, and why. IMAGE may be an object of librbd.',
  )
    .argument('<offset>', 'in bytes, or like 10GiB', value(parseSize))
    .argument('[length]', 'in bytes, or like 4KiB; 1MiB at most', value(parseSize), 4096)
    .option('--json', 'for machines: one object')
    .action(async (image: string, offset: number, length: number, options: OnMount & { json?: boolean }) => {
      const module = await import('../commands/explain.ts')
      const { mountpoint = null, json = false } = options
      ended(await module.explainCommand({ image, offset, length, path: mountpoint, json }))
    })
  addExamples(
    explain,
    'parentfs explain debian.raw 0',
    'parentfs explain /srv/parents/debian.raw 1GiB 64KiB --json',
    'parentfs explain rbd_data.103392f4174.000000000000003f 0',
  )
}

export function defineLocations(program: Command, ended: Ended): void {
  const what = 'List the places where IMAGE can be had, with their figures: its locations, and members of the group.'
  const locations = ofImage(program, 'locations', what)
    .option('--json', 'for machines: an array')
    .action(async (image: string, { mountpoint, json = false }: OnMount & { json?: boolean }) => {
      const module = await import('../commands/locations.ts')
      ended(await module.locationsCommand(image, mountpoint ?? null, json))
    })
  addExamples(locations, 'parentfs locations debian.raw', 'parentfs locations /srv/parents/debian.raw --json')
}

export function defineVerify(program: Command, ended: Ended): void {
  const verify = program.command('verify').copyInheritedSettings(program)
  withMountOption(verify, 'which mount (default: the one that the path is in, or the only one)')
    .description(
      'Compare what is held of IMAGE, or of all, with its checksums and digests. Exits 1 when anything was bad.',
    )
    .usage('[options] [image]')
    .argument('[image]', 'its name, the path of its file, or a mountpoint for all of it (default: all images)')
    .option('--locations', 'compare every location of IMAGE with its origin, block by block where no digest exists')
    .argument('[rest]', 'the image, where the mountpoint stands first as in versions before 0.1')
    .action(async (first: string | undefined, second: string | undefined, options: OnVerify) => {
      const { mountpoint, locations = false } = options
      if (second !== undefined && mountpoint !== undefined) verify.error('error: too many arguments')
      const module = await import('../commands/verify.ts')
      const chosen = second === undefined ? { image: first, path: mountpoint } : { image: second, path: first }
      if (!locations) return ended(await module.verify(chosen.image ?? null, chosen.path ?? null))
      if (chosen.image === undefined) return verify.error('error: --locations needs an image')
      const { verifyLocations } = await import('../commands/locations.ts')
      ended(await verifyLocations(chosen.image, chosen.path ?? null))
    })
  addExamples(
    verify,
    'parentfs verify',
    'parentfs verify debian.raw',
    'parentfs verify -m /srv/parents debian.raw',
    'parentfs verify --locations debian.raw',
  )
}

interface OnVerify extends OnMount {
  readonly locations?: boolean
}

function collectRanges(text: string, before: readonly ReturnType<typeof parseRange>[]) {
  return [...before, value(parseRange)(text)]
}
