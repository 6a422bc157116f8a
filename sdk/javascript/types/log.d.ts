/** Lines for the run's log. The host adds the plugin's name. */
/** Writes a line of a level. What goes through `console` gets to the log too. */
export declare const log: {
    /** For someone who looks for a mistake. */
    trace: (message: string) => void;
    /** About the plugin's inner workings. */
    debug: (message: string) => void;
    /** What a user may want to see. */
    info: (message: string) => void;
    /** About something that is probably not as it should be. */
    warn: (message: string) => void;
    /** About something that went wrong. */
    error: (message: string) => void;
};
