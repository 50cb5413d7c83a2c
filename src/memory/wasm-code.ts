/**
 * The pieces of WebAssembly's binary format that generated modules here are made of; see
 * https://webassembly.github.io/spec/core/binary/.
 */
export type Code = number[];

export const I32 = 0x7f;
export const V128 = 0x7b;
export const I32_ADD = 0x6a;
export const I32_SUB = 0x6b;
export const i32Load = (offset: number): Code => [0x28, 2, ...unsigned(offset)];
export const i32Store = (offset: number): Code => [0x36, 2, ...unsigned(offset)];
/** A loop without a result, and the branch back to its beginning when the number on the stack is not zero. */
export const LOOP: Code = [0x03, 0x40];
export const REPEAT_IF: Code = [0x0d, 0];
export const END = 0x0b;
export const MAGIC_AND_VERSION: Code = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
export const simd = (code: number): Code => [0xfd, ...unsigned(code)];
export const V128_XOR: Code = simd(81);
export const v128Load = (offset: number): Code => [...simd(0), 4, ...unsigned(offset)];
export const v128Store = (offset: number): Code => [...simd(11), 4, ...unsigned(offset)];
export const getLocal = (index: number): Code => [0x20, ...unsigned(index)];
export const setLocal = (index: number): Code => [0x21, ...unsigned(index)];
export const teeLocal = (index: number): Code => [0x22, ...unsigned(index)];
export const i32Const = (value: number): Code => [0x41, ...signed(value)];
export const section = (id: number, content: Code): Code => [id, ...sized(content)];
export const named = (text: string): Code => sized([...Buffer.from(text)]);

export function sized(content: Code): Code {
  return [...unsigned(content.length), ...content];
}

/** LEB128. */
export function unsigned(value: number): Code {
  const code: Code = [];
  do {
    code.push((value % 128) | (value >= 128 ? 0x80 : 0));
    value = Math.floor(value / 128);
  } while (value > 0);
  return code;
}

function signed(value: number): Code {
  const code: Code = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    if ((value === 0 && (low & 0x40) === 0) || (value === -1 && (low & 0x40) !== 0)) return [...code, low];
    code.push(low | 0x80);
  }
}

interface WebAssemblyApi {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: unknown };
}
declare const WebAssembly: WebAssemblyApi;

/** An instance of a module that imports nothing. */
export function instantiate(module: Uint8Array): unknown {
  return new WebAssembly.Instance(new WebAssembly.Module(module)).exports;
}
