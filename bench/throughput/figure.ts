/** One number with its name, whatever it took to get it. */
export interface Figure {
  /** `put-4k.operationsPerSecond`, `space.4k-1`: what the rows of the design ask for. */
  id: string;
  server: string;
  value: number;
  unit: string;
  /** How it was made, for whoever reads the file. */
  how: string;
}
