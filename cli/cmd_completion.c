/* SPDX-License-Identifier: MIT */
/* berth completion: scripts for shells, and what these ask for.
 *
 * A script knows nothing of options and commands: at each press of the key it calls
 *
 *     berth completion words -- WORD...
 *
 * with what stands behind the program's name, up to the cursor, and gets from the table of commands
 * a line "CANDIDATE\tEXPLANATION" for each candidate, or a line that says what the shell itself is
 * to look for: ":files", ":folders" or ":commands". So a script is never older than the program.
 * Whoever presses the key sees no message of ours, and waits for the broker ASK_MS at the most.
 */
#include <stdio.h>
#include <string.h>

#include <berth/schedule.h>

#include "base/buf.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/complete.h"

#define ASK_MS 500

static const char bash_script[] =
    "# Completion of berth for bash; made by `berth completion bash`.\n"
    "_berth() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} words=() i word is_new cut='' kind=:words\n"
    "    # Bash cuts words at '=' and ':', too: where no blank stands between, they are one.\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        is_new=0\n"
    "        if ((i == 0)) || [[ $line == [[:blank:]]* ]]; then is_new=1; fi\n"
    "        line=${line#\"${line%%[![:blank:]]*}\"}\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if ((i == COMP_CWORD)); then word=$line; fi # only up to the cursor\n"
    "        line=${line#\"$word\"}\n"
    "        if ((is_new)); then words+=(\"$word\"); else words[-1]+=$word; fi\n"
    "    done\n"
    "    if [[ ${words[-1]} == --*=* ]]; then cut=${words[-1]%%=*}=; fi\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        :*) kind=$line ;;\n"
    "        *)\n"
    "            word=${line%%$'\\t'*}\n"
    "            COMPREPLY+=(\"${word#\"$cut\"}\")\n"
    "            ;;\n"
    "        esac\n"
    "    done < <(\"$1\" completion words -- \"${words[@]:1}\" 2>/dev/null)\n"
    "    case $kind in\n"
    "    :files) compopt -o default 2>/dev/null ;;\n"
    "    :folders) compopt -o dirnames 2>/dev/null ;;\n"
    "    :commands)\n"
    "        if [[ ${words[-1]} == */* ]]; then\n"
    "            compopt -o default 2>/dev/null\n"
    "        else\n"
    "            mapfile -t COMPREPLY < <(compgen -c -- \"${words[-1]}\" | sort -u)\n"
    "        fi\n"
    "        ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _berth berth\n";

static const char zsh_script[] =
    "#compdef berth\n"
    "# Completion of berth for zsh; made by `berth completion zsh`.\n"
    "_berth() {\n"
    "    local line kind=words\n"
    "    local -a asked candidates\n"
    "    asked=(\"${(@Q)words[2,CURRENT-1]}\" \"${(Q)PREFIX}\")\n"
    "    ((CURRENT > 2)) || asked=(\"${(Q)PREFIX}\")\n"
    "    for line in \"${(@f)$(${(Q)words[1]} completion words -- \"${(@)asked}\" 2>/dev/null)}\"; "
    "do\n"
    "        case $line in\n"
    "        '') ;;\n"
    "        :*) kind=${line#:} ;;\n"
    "        *) candidates+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    if [[ $kind != words && $PREFIX == --*=* ]]; then compset -P '*='; fi\n"
    "    case $kind in\n"
    "    files) _files ;;\n"
    "    folders) _files -/ ;;\n"
    "    commands) _command_names -e ;;\n"
    "    *) if (($#candidates)); then _describe berth candidates; fi ;;\n"
    "    esac\n"
    "}\n"
    "if [[ ${funcstack[1]-} == _berth ]]; then _berth \"$@\"; else compdef _berth berth; fi\n";

static const char fish_script[] =
    "# Completion of berth for fish; made by `berth completion fish`.\n"
    "function __berth_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l word (commandline -ct)\n"
    "    set -l program $words[1]\n"
    "    set -e words[1]\n"
    "    set -l cut (string match -r -- '^--[^=]*=' $word)\n"
    "    set -l typed (string replace -r -- '^--[^=]*=' '' $word)\n"
    "    for line in ($program completion words -- $words \"$word\" 2>/dev/null)\n"
    "        switch $line\n"
    "            case ':files'\n"
    "                for path in (__fish_complete_path \"$typed\")\n"
    "                    printf '%s%s\\n' \"$cut\" $path\n"
    "                end\n"
    "            case ':folders'\n"
    "                for path in (__fish_complete_directories \"$typed\")\n"
    "                    printf '%s%s\\n' \"$cut\" $path\n"
    "                end\n"
    "            case ':commands'\n"
    "                complete -C \"$word\"\n"
    "            case '*'\n"
    "                printf '%s\\n' $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c berth -f -a '(__berth_complete)'\n";

static const struct {
    const char *name, *script;
} shells[] = {
    { "bash", bash_script },
    { "zsh", zsh_script },
    { "fish", fish_script },
};
#define SHELLS (sizeof shells / sizeof shells[0])

static const char *name_of_shell(const void *arg, size_t index)
{
    (void)arg;
    return shells[index].name;
}

/* What is asked for names. */
struct asked {
    const char *last; /* the last word on the command line */
    size_t prefix_bytes;
};

static int print_name(const struct asked *asked, const char *name)
{
    const char *typed = asked->last + asked->prefix_bytes;
    if (strncmp(name, typed, strlen(typed)) == 0)
        (void)printf("%.*s%s\t\n", (int)asked->prefix_bytes, asked->last, name);
    return 0;
}

static int print_dispatcher(void *arg, const struct berth_dispatcher *dispatcher)
{
    return print_name(arg, dispatcher->name);
}

static int print_schedule(void *arg, const struct berth_schedule *schedule)
{
    return print_name(arg, schedule->name);
}

/* Without an answer there are no names. */
static void print_names(struct cli *cli, const struct complete *complete, const char *last)
{
    struct asked asked = { .last = last, .prefix_bytes = complete->prefix_bytes };
    if (complete->broker)
        cli->opts.broker = complete->broker;
    if (cli_connect(cli, 0) < 0)
        return;
    if (complete->kind == COMPLETE_SCHEDULES)
        (void)berth_schedule_list(cli->client, print_schedule, &asked, ASK_MS, NULL);
    else
        (void)berth_dispatcher_list(cli->client, print_dispatcher, &asked, ASK_MS, NULL);
}

static void print_words(struct cli *cli, const char *const *words, size_t count)
{
    struct berth_buf candidates;
    struct complete complete;
    berth_buf_init(&candidates, COMPLETE_BYTES_MAX);
    if (complete_words(cli->args->program, words, count, &candidates, &complete) == 0) {
        switch (complete.kind) {
        case COMPLETE_WORDS: (void)fputs(berth_buf_text(&candidates), stdout); break;
        case COMPLETE_FILES: (void)puts(":files"); break;
        case COMPLETE_FOLDERS: (void)puts(":folders"); break;
        case COMPLETE_COMMANDS: (void)puts(":commands"); break;
        case COMPLETE_DISPATCHERS:
        case COMPLETE_SCHEDULES: print_names(cli, &complete, words[count - 1]); break;
        }
    }
    berth_buf_fini(&candidates);
}

static int run(void *context)
{
    struct cli *cli = context;
    const struct berth_args *args = cli->args;
    const char *what = args->operands[0];
    int rc = cli_begin(cli, NULL);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (strcmp(what, "words") == 0 && args->rest_index == 1) {
        if (args->operands_count > 1)
            print_words(cli, args->operands + 1, args->operands_count - 1);
        return CLI_OK;
    }
    if (args->operands_count > 1)
        return cli_usage("'berth completion' takes no '%.60s'", args->operands[1]);
    for (size_t i = 0; i < SHELLS; i++) {
        if (strcmp(shells[i].name, what) != 0)
            continue;
        (void)fputs(shells[i].script, stdout);
        return CLI_OK;
    }
    const char *near = berth_suggest(what, SHELLS, name_of_shell, NULL);
    return cli_usage("completion is for bash, zsh and fish, not for '%.60s'%s%s%s", what,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

const struct berth_command cmd_completion = {
    .name = "completion",
    .operands = "bash|zsh|fish",
    .summary = "print a script that completes what is typed in a shell",
    .examples = "  source <(berth completion bash)       # now; packages install it for good\n"
                "  berth completion zsh > ~/.zfunc/_berth\n"
                "  berth completion fish > ~/.config/fish/completions/berth.fish\n",
    .operands_min = 1,
    .operands_max = BERTH_ARGS_OPERANDS_MAX,
    .run = run,
};
