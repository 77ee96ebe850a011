# Makes patches/likely-next.txt of what a counting build has written (README): for each handler that matters, what mostly comes next, at
# most three, the likeliest first. Each file is a request, and counts as much as each other.
FNR == 1 { weigh() }
{
    count[$1, $2] += $3
    sum += $3
}
END {
    weigh()
    for (name in share) if (share[name] > 2e-5 * requests) {
        line = ""
        for (rank = 1; rank <= 3; rank++) {
            best = ""
            for (i = 1; i <= followers[name]; i++) {
                next_name = follower[name, i]
                if (!(next_name in taken) && of_share[name, next_name] > 0.08 * share[name] \
                    && (best == "" || of_share[name, next_name] > of_share[name, best])) best = next_name
            }
            if (best == "") break
            taken[best] = 1
            line = line " " best
        }
        delete taken
        if (line != "") print name line | "LC_ALL=C sort"
    }
}
# Adds the request that was read last.
function weigh(key, part) {
    for (key in count) {
        split(key, part, SUBSEP)
        if (!((part[1], part[2]) in of_share)) follower[part[1], ++followers[part[1]]] = part[2]
        of_share[part[1], part[2]] += count[key] / sum
        share[part[1]] += count[key] / sum
    }
    requests += sum > 0
    delete count
    sum = 0
}
