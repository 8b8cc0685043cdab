import { formatISO } from "date-fns";

console.log(`built with packages, not with a cache volume: ${formatISO(new Date(0), { representation: "date" })}`);
