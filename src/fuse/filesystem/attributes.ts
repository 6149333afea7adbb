/**
 * Attributes of images and directories, as stat shows them.
 *
 * A file claims all its blocks, `ceil(size / 512)`, although holes may lie in it: the true number is unknown without
 * asking the origin for the whole image, and a file that claims fewer makes `cp` and `du` believe that it is sparse. So
 * `du` and `qemu-img info` show the full size as "disk size", and `cp` reads without looking for holes. Programs that
 * look for holes (`qemu-img convert` and `map`, `cp --sparse=always`) find them with lseek.
 */
import type { KnownImage } from './backend.ts'
import type { DirectoryNode } from './nodes.ts'
import { ownNodeId } from './passthrough.ts'

/** Presentation of images: owners and permissions. */
export interface Presentation {
  readonly uid: number
  readonly gid: number
  /**
   * Permission bits of a file; bits that allow writing or executing are ignored. A readable directory can be entered.
   */
  readonly mode: number
  /** Modification time of the directories, in milliseconds since 1970. */
  readonly directoriesModifiedMs: number
}

export interface Attributes {
  readonly nodeId: bigint
  /** st_ino: the same for both nodes of an image. */
  readonly inode: bigint
  /** File type and permissions, as in st_mode. */
  readonly mode: number
  readonly links: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  /** In units of 512 bytes. */
  readonly blocks: number
  /** The size of reads that suits us. */
  readonly preferredBytes: number
  readonly modifiedMs: number
}

/** Source: Linux include/uapi/linux/stat.h, S_IFREG and S_IFDIR. */
const regularFile = 0o100000
const directory = 0o040000

/**
 * st_blksize: `cp`, `cat` and `cmp` read in units of it, and 1 MiB is the longest READ. Nothing else depends on it: the
 * alignment of O_DIRECT does not.
 */
const preferredBytes = 1024 * 1024

/** The default presentation: the process's own files, readable by all. */
export function presentationDefault(): Presentation {
  return {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    mode: 0o444,
    directoriesModifiedMs: Date.now(),
  }
}

export function isDirectory({ mode }: Attributes): boolean {
  return (mode & directory) !== 0
}

export function imageAttributes({ image, nodeId }: KnownImage, { uid, gid, mode }: Presentation): Attributes {
  return {
    nodeId,
    inode: ownNodeId(nodeId),
    mode: regularFile | (mode & 0o444),
    links: 1,
    uid,
    gid,
    sizeBytes: image.sizeBytes,
    blocks: Math.ceil(image.sizeBytes / 512),
    preferredBytes,
    modifiedMs: image.modifiedMs,
  }
}

/**
 * @param countsLinks false where directories may come to lie in this one: then 1, which tools take for "not counted".
 * **Source**: find(1) of GNU findutils, -noleaf; btrfs does the same
 */
export function directoryAttributes(node: DirectoryNode, countsLinks: boolean, shown: Presentation): Attributes {
  const readable = shown.mode & 0o444
  return {
    nodeId: node.nodeId,
    inode: BigInt.asUintN(63, node.nodeId),
    mode: directory | readable | (readable >> 2),
    links: countsLinks ? 2 : 1,
    uid: shown.uid,
    gid: shown.gid,
    sizeBytes: 0,
    blocks: 0,
    preferredBytes: 4096,
    modifiedMs: shown.directoriesModifiedMs,
  }
}
